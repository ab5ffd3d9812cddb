package ops

import (
	"fmt"
	"strings"
)

// ModelHint is the hint of an error that there is no model of that name: which of
// those that there are, by their names, it was likely meant to be, or else all of
// them.
func ModelHint(name string, there []string) string {
	near := NearestNames(name, there)
	if len(near) == 0 {
		if len(there) == 0 {
			return "there is none that may be used; `rbee model download` brings one, and `rbee key list` shows which ones a key is for"
		}
		return fmt.Sprintf("there are: %s; `rbee model download` brings others", strings.Join(there, ", "))
	}
	for i, n := range near {
		near[i] = fmt.Sprintf("%q", n)
	}
	last := len(near) - 1
	if last == 0 {
		return "did you mean " + near[0] + "?"
	}
	return "did you mean " + strings.Join(near[:last], ", ") + " or " + near[last] + "?"
}
