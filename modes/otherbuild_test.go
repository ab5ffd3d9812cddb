package modes_test

import (
	"bytes"
	"strings"
	"testing"
)

// TestAnotherBuildIsToldOnce: a command of another build than the queen's says so, and
// how that is changed.
func TestAnotherBuildIsToldOnce(t *testing.T) {
	p := newPlace(t)
	p.rbee("queen", "start")
	p.program = otherBuild(t)
	defer func() { p.program = "" }()
	for _, command := range []string{"queen start", "queen status", "job list"} {
		cmd := p.command(strings.Fields(command)...)
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Run(); err != nil || strings.Count(said.String(), "keeper: the running queen is build") != 1 || !strings.Contains(said.String(), "`rbee queen restart`") {
			t.Errorf("%s: %v, said %q", command, err, said.String())
		}
	}
}
