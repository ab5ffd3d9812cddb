package modes_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// stop stops a process as Ctrl-Z does: the system takes connections for it, and
// nobody answers.
func (p *place) stop(pid int) {
	p.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // which may be gone
}

// fails runs a command that must end with that exit code, and returns what it says
// on both outputs.
func (p *place) fails(code int, args ...string) (stdout, stderr string) {
	p.t.Helper()
	cmd := p.command(args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != code {
		p.t.Errorf("rbee %s: %v, not exit code %d: %s", strings.Join(args, " "), err, code, said.String())
	}
	return out.String(), said.String()
}

// says checks that a text holds all of those.
func says(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("it does not say %q: %s", part, text)
		}
	}
}

func TestAQueenThatHangsIsToldOfAndCanBeReplaced(t *testing.T) {
	t.Parallel() // it waits
	p := newPlace(t)
	p.rbee("infer", "-n", "1", "hi")
	worker, hung := p.workers()[0], p.record("queen")
	p.stop(hung.PID)
	cure := "`rbee queen restart` ends it"
	for _, command := range []string{"status", "start"} {
		out, said := p.fails(3, "queen", command)
		says(t, out, "does not answer at "+hung.Address)
		says(t, said, "does not answer", cure, "its log is")
	}
	out, _ := p.fails(3, "queen", "status", "-o", "json")
	var status struct{ Running, Hung bool }
	if err := json.Unmarshal([]byte(out), &status); err != nil || !status.Running || !status.Hung {
		t.Errorf("its JSON is %s, %v", out, err)
	}
	for _, command := range [][]string{{"infer", "-n", "1", "hi"}, {"job", "list"}} {
		_, said := p.fails(3, command...)
		says(t, said, "the queen at "+hung.Address+" does not answer", cure)
	}
	p.rbee("queen", "restart")
	if now := p.record("queen"); now.PID == hung.PID || hung.Alive() || now.Address != hung.Address {
		t.Errorf("the queen that hung is still there: %+v", now)
	}
	p.rbee("infer", "-n", "1", "hi")
	if list := p.workers(); len(list) != 1 || list[0].PID != worker.PID {
		t.Errorf("the worker was not kept: %+v, was %+v", list, worker)
	}
}

func TestAQueenThatHangsCanBeStopped(t *testing.T) {
	t.Parallel() // it waits
	p := newPlace(t)
	p.rbee("infer", "-n", "1", "hi")
	p.stop(p.record("queen").PID)
	cmd := p.command("queen", "stop")
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v", err)
	}
	says(t, string(said), "the queen does not answer; killing its process", "the queen, its hive and its workers have ended")
	p.nothingRuns()
}

func TestAStopTellsWhatADeadQueenHadLeft(t *testing.T) {
	p := newPlace(t)
	p.rbee("infer", "-n", "1", "hi")
	p.kill(p.record("queen").PID)
	var stopped struct {
		Was       bool `json:"was_running"`
		Leftovers int
	}
	if out := p.rbee("queen", "stop", "-o", "json"); json.Unmarshal([]byte(out), &stopped) != nil || stopped.Was || stopped.Leftovers != 2 {
		t.Errorf("its JSON is %s", out)
	}
	p.nothingRuns()
}

// TestAQueenWhoseTokenIsLostCanBeEnded: its owner is known by the files that only
// they may write.
func TestAQueenWhoseTokenIsLostCanBeEnded(t *testing.T) {
	p := newPlace(t)
	p.rbee("infer", "-n", "1", "hi")
	token, worker := filepath.Join(p.home, "state", "queen.token"), p.workers()[0]
	for _, tt := range []struct {
		why, hint string
		text      string // nothing: there is no file
	}{
		{"is gone: ", "`rbee queen restart` makes another", ""},
		{"is empty: ", "`rbee queen restart` makes another", "\n"},
		{"holds another one: ", "`rbee queen restart` has the queen take that one", "of a backup"},
	} {
		if err := os.Remove(token); err != nil {
			t.Fatal(err)
		}
		if tt.text != "" {
			if err := os.WriteFile(token, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, command := range [][]string{{"status"}, {"queen", "token"}} {
			_, said := p.fails(1, command...)
			says(t, said, "the token of the queen that runs "+tt.why+token, tt.hint)
		}
		p.rbee("queen", "restart")
		if list := p.workers(); len(list) != 1 || list[0].PID != worker.PID {
			t.Errorf("the worker was not kept: %+v, was %+v", list, worker)
		}
	}
	if got := p.rbee("queen", "token"); got != "of a backup\n" {
		t.Errorf("the token is %q", got)
	}
	if err := os.WriteFile(token, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.rbee("queen", "stop")
	p.nothingRuns()
}

// TestAPIDFileOfAnotherHomeIsNoQueenOfThisOne: somebody copied a state folder, whose
// queen still runs.
func TestAPIDFileOfAnotherHomeIsNoQueenOfThisOne(t *testing.T) {
	other, p := newPlace(t), newPlace(t)
	other.env = []string{"RBEE_QUEUE_DEPTH=7"} // flags that the one which is copied has
	other.rbee("queen", "start")
	from := other.record("queen")
	text, err := os.ReadFile(filepath.Join(other.home, "state", "queen.pid"))
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(p.home, "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "queen.pid"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	p.fails(3, "queen", "status")
	p.rbee("queen", "stop")
	p.rbee("infer", "-n", "1", "hi")
	if now := p.record("queen"); now.PID == from.PID || !from.Alive() {
		t.Errorf("the queens are %+v and %+v", from, now)
	}
}

func TestAWishToListenElsewhereIsNotSwallowed(t *testing.T) {
	p := newPlace(t)
	p.rbee("queen", "start")
	free := freePort(t)
	p.env = []string{"RBEE_LISTEN=" + free}
	said, err := p.command("queen", "start").CombinedOutput()
	if err != nil {
		t.Errorf("%v", err)
	}
	says(t, string(said), "listens on "+p.record("queen").Address+", not on "+free, "`rbee queen restart`")
}
