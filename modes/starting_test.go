package modes_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// starting runs a command that finds no queen, up to where it starts one. What it
// says from then on is read by end, which returns its exit code.
func (p *place) starting(args ...string) (cmd *exec.Cmd, end func() int) {
	p.t.Helper()
	cmd = p.command(args...)
	out, err := cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	said := bufio.NewReader(out)
	for line := ""; !strings.Contains(line, "starting the queen"); {
		if line, err = said.ReadString('\n'); err != nil {
			p.t.Fatal(err)
		}
	}
	return cmd, func() int {
		_, _ = io.Copy(io.Discard, said)
		if err := cmd.Wait(); err != nil {
			if e, ok := errors.AsType[*exec.ExitError](err); ok {
				return e.ExitCode()
			}
			p.t.Error(err)
		}
		return 0
	}
}

// TestAQueenWhoseStartIsCancelledIsNotLeftBehind: `queen stop` finds it if it was up
// before it heard.
func TestAQueenWhoseStartIsCancelledIsNotLeftBehind(t *testing.T) {
	p := newPlace(t)
	for _, command := range [][]string{{"infer", "-n", "2000", "-m", "slow", "hi"}, {"queen", "start"}, {"worker", "list"}} {
		cmd, end := p.starting(command...)
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if code := end(); code != 130 && code != 0 { // it may have been done
			t.Errorf("%v ends with %d", command, code)
		}
		p.rbee("queen", "stop")
		p.nothingRuns()
	}
}

func TestAQueenThatIsBeingStartedIsStoppedToo(t *testing.T) {
	p := newPlace(t)
	for range 3 {
		_, end := p.starting("queen", "start")
		stopped := p.rbee("queen", "stop", "-o", "json")
		says(t, stopped, `"was_running":true`)
		end() // it may find her stopping
		p.nothingRuns()
	}
}
