package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// splitter returns the length of the first piece of a text that is not empty.
//
// The pre-tokenizers are defined by regular expressions that use look-ahead,
// which Go's regexp does not have. Each is a list of alternatives tried in
// order; here they are small scanners with the same outcome, in time linear in
// the text.
type splitter func(text string) int

// splitters is the pre-tokenizers by the name that files give them.
var splitters = map[string]splitter{
	"default":   splitDefault,
	"gpt-2":     splitGPT2,
	"llama-bpe": splitLlama3,
	"llama3":    splitLlama3,
	"llama-v3":  splitLlama3,
	"smollm":    splitSmolLM,
	"qwen2":     splitQwen2,
}

// splitGPT2 is
// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)
// and what is left of white space, piece by piece.
func splitGPT2(text string) int {
	if n := contraction(text, false); n > 0 {
		return n
	}
	rest := strings.TrimPrefix(text, " ")
	skipped := len(text) - len(rest)
	for _, class := range []func(rune) bool{isLetter, isNumber, isOther} {
		if n := run(rest, class, -1); n > 0 {
			return skipped + n
		}
	}
	return whitespace(text)
}

// splitSmolLM takes single digits out first, then splits as GPT-2 does.
func splitSmolLM(text string) int {
	r, size := utf8.DecodeRuneInString(text)
	if isNumber(r) {
		return size
	}
	n := splitGPT2(cutAt(text, isNumber))
	return n
}

// splitDefault splits by four expressions in turn, each what the one before has
// left: runs of punctuation, what GPT-2 splits, runs of digits, and within those
// [0-9][0-9][0-9].
func splitDefault(text string) int {
	r, _ := utf8.DecodeRuneInString(text)
	switch {
	case isPunctuation(r):
		return run(text, isPunctuation, -1)
	case isNumber(r):
		return threeDigits(text[:run(text, isNumber, -1)])
	}
	part := cutAt(text, isPunctuation)
	n := splitGPT2(part)
	if r, _ := utf8.DecodeRuneInString(part[1:n]); text[0] == ' ' && isNumber(r) {
		return 1 // the space before a number
	}
	return n
}

// threeDigits is where a run of digits is cut: behind the first three of ASCII,
// or before them.
func threeDigits(digits string) int {
	ascii := 0
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			ascii = 0
			continue
		}
		if ascii++; ascii == 3 {
			if i == 2 {
				return 3
			}
			return i - 2
		}
	}
	return len(digits)
}

// splitLlama3 is (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|
// \p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
func splitLlama3(text string) int { return splitByDigits(text, 3) }

// splitQwen2 is the same with digits one by one.
func splitQwen2(text string) int { return splitByDigits(text, 1) }

func splitByDigits(text string, digits int) int {
	if n := contraction(text, true); n > 0 {
		return n
	}
	first, size := utf8.DecodeRuneInString(text)
	if isLetter(first) {
		return run(text, isLetter, -1)
	}
	if !isNumber(first) && first != '\r' && first != '\n' {
		if n := run(text[size:], isLetter, -1); n > 0 {
			return size + n
		}
	}
	if n := run(text, isNumber, digits); n > 0 {
		return n
	}
	rest := strings.TrimPrefix(text, " ")
	if n := run(rest, isOther, -1); n > 0 {
		n += len(text) - len(rest)
		return n + run(text[n:], isNewline, -1)
	}
	spaces := run(text, unicode.IsSpace, -1)
	if last := strings.LastIndexAny(text[:spaces], "\r\n"); last >= 0 {
		return last + 1
	}
	return whitespace(text)
}

// contraction matches an English ending after an apostrophe.
func contraction(text string, anyCase bool) int {
	if text[0] != '\'' {
		return 0
	}
	for _, ending := range []string{"s", "t", "re", "ve", "m", "ll", "d"} {
		n := 1 + len(ending)
		if len(text) < n {
			continue
		}
		if got := text[1:n]; got == ending || anyCase && strings.EqualFold(got, ending) && len(got) == len(ending) {
			return n
		}
	}
	return 0
}

// whitespace takes the spaces that text begins with, but leaves the last to the
// word behind them.
func whitespace(text string) int {
	n := run(text, unicode.IsSpace, -1)
	if n == 0 { // a byte that is of no class
		_, size := utf8.DecodeRuneInString(text)
		return size
	}
	if n < len(text) {
		_, last := utf8.DecodeLastRuneInString(text[:n])
		if n > last {
			return n - last
		}
	}
	return n
}

// run is the length of the characters of a class that text begins with, at
// most so many; -1 is any number.
func run(text string, class func(rune) bool, most int) int {
	n := 0
	for i, r := range text {
		if most == 0 || !class(r) {
			return i
		}
		most--
		n = i + utf8.RuneLen(r)
		if r == utf8.RuneError {
			_, size := utf8.DecodeRuneInString(text[i:])
			n = i + size
		}
	}
	return n
}

// cutAt is the beginning of text before the first character of a class.
func cutAt(text string, class func(rune) bool) string {
	if i := strings.IndexFunc(text, class); i > 0 {
		return text[:i]
	}
	return text
}

func isLetter(r rune) bool { return unicode.IsLetter(r) }

func isNumber(r rune) bool { return unicode.IsNumber(r) }

func isNewline(r rune) bool { return r == '\r' || r == '\n' }

func isOther(r rune) bool { return !unicode.IsSpace(r) && !unicode.IsLetter(r) && !unicode.IsNumber(r) }

func isPunctuation(r rune) bool {
	return unicode.IsPunct(r) || strings.ContainsRune("$+<=>^~|`", r)
}
