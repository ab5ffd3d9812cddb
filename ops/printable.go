package ops

import (
	"strconv"
	"strings"
	"unicode"
)

// Printable is text as a terminal may show it: what came from elsewhere, as the
// names on a server or the last lines of an engine, must not move its cursor or
// recolour it. Control characters are written as Go writes them in strings, and
// so are those that only change how others are laid out; line ends and tabs stay.
func Printable(text string) string {
	odd := func(r rune) bool {
		return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r))
	}
	if !strings.ContainsFunc(text, odd) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if odd(r) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
