package openai

import "strings"

// stopper passes text on until one of the stop texts comes, which may be spread
// over several pieces. What could be the beginning of one is held back.
type stopper struct {
	stops []string
	held  string
	met   string // the stop text that came, or ""
}

// next returns what of held and text can be passed on, and whether a stop text
// has come.
func (s *stopper) next(text string) (ready string, stopped bool) {
	text = s.held + text
	s.held = ""
	first := -1
	for _, stop := range s.stops {
		if at := strings.Index(text, stop); at >= 0 && (first < 0 || at < first) {
			first, s.met = at, stop
		}
	}
	if first >= 0 {
		return text[:first], true
	}
	hold := 0
	for _, stop := range s.stops {
		for n := min(len(stop)-1, len(text)); n > hold; n-- {
			if strings.HasSuffix(text, stop[:n]) {
				hold = n
				break
			}
		}
	}
	s.held = text[len(text)-hold:]
	return text[:len(text)-hold], false
}

// rest is what was held back and turned out to begin no stop text.
func (s *stopper) rest() string { return s.held }
