package command

import (
	"strings"
	"unicode"

	"rbee.dev/rbee/ops"
)

// split divides a line into words as shells do: at spaces that are not in
// quotes. A backslash takes the meaning from what follows it, but not between
// single quotes. Nothing else has a meaning.
func split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	inWord, escaped := false, false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			inWord, escaped = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			inWord, quote = true, r
		case unicode.IsSpace(r):
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			inWord = true
			word.WriteRune(r)
		}
	}
	if quote != 0 || escaped {
		return nil, ops.Invalid("command", "ends in the middle of a quotation")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
