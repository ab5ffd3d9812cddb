package ops

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// loneSurrogate reports whether a JSON text escapes half of a character (RFC 8259, 8.2),
// in place of which the decoder would put another.
func loneSurrogate(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		half := escaped(text[i:])
		switch {
		case !utf16.IsSurrogate(half):
			i++ // what is escaped is no backslash of another one
		case utf16.DecodeRune(half, escaped(text[i+6:])) == utf8.RuneError:
			return true
		default:
			i += 11
		}
	}
	return false
}

// escaped is the code unit that a text begins with as \uXXXX, or 0.
func escaped(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(n)
}
