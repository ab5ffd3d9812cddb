package ops

import "regexp"

// shape is what a text may look like: a pattern, and how many bytes it may have.
// A pattern that counted them itself, as {0,127}, would be compiled into that many
// copies, in every process of rbee's at its start.
type shape struct {
	pattern     *regexp.Regexp
	least, most int
}

func shaped(pattern string, least, most int) shape {
	return shape{regexp.MustCompile(pattern), least, most}
}

// MatchString reports whether s has the shape.
func (p shape) MatchString(s string) bool {
	return len(s) >= p.least && len(s) <= p.most && p.pattern.MatchString(s)
}
