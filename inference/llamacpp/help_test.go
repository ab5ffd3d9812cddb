package llamacpp

import (
	"regexp"
	"strings"
	"testing"

	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
)

// helpLine is a line of --help that begins with names: "-t,    --threads N
// number of CPU threads". The value's name follows the last of them after one
// space.
var helpLine = regexp.MustCompile(`^((?:--?[A-Za-z][\w.-]*,\s+)*--?[A-Za-z][\w.-]*)(?: (\S.*?))?(?:\s{2,}.*)?$`)

// TestEveryFlagOfTheRealProgramIsAllowedOrRefused: one that is new in it is to be
// put on one of the lists.
func TestEveryFlagOfTheRealProgramIsAllowedOrRefused(t *testing.T) {
	help, err := output(t.Context(), llamacpptest.Program(t), "--help")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(help) {
		line = strings.TrimRight(line, "\n")
		if !strings.HasPrefix(line, "-") || strings.HasPrefix(line, "-----") {
			continue
		}
		m := helpLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("the line %q is of no known form", line)
			continue
		}
		for _, name := range regexp.MustCompile(`,\s+`).Split(m[1], -1) {
			seen++
			kind, passed := allowed[name]
			if _, not := refused[name]; passed == not {
				t.Errorf("%s is neither on the list of those that are passed on nor refused with a reason", name)
			}
			if passed && (kind == nothing) == (m[2] != "") {
				t.Errorf("%s is followed by %q, and is listed as %d", name, m[2], kind)
			}
		}
	}
	if seen < 300 {
		t.Errorf("only %d flags were found in its help", seen)
	}
}
