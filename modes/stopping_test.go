package modes_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rbee.dev/rbee/modes/daemon"
)

// stopping is a place whose queen is stopping, which takes some time.
func stopping(t *testing.T) (p *place, queen daemon.Record) {
	t.Helper()
	p = newPlace(t)
	p.rbee("infer", "-n", "1", "hi")
	queen = p.record("queen")
	p.stop(p.workers()[0].PID)
	if err := syscall.Kill(queen.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for log := []byte(nil); !bytes.Contains(log, []byte("the queen is stopping")); {
		var err error
		if log, err = os.ReadFile(filepath.Join(p.home, "state", "logs", "queen.log")); err != nil {
			t.Fatal(err)
		}
	}
	return p, queen
}

// TestAQueenThatIsStoppingIsToldOfAndWaitedFor: her end takes a while, for a worker
// that does not heed it.
func TestAQueenThatIsStoppingIsToldOfAndWaitedFor(t *testing.T) {
	t.Parallel() // it waits
	p, queen := stopping(t)
	out, said := p.fails(3, "queen", "status")
	says(t, out, "stopping, no longer at "+queen.Address)
	says(t, said, "rbee: the queen is stopping", "`rbee queen start` starts one again")
	elsewhere := p.command("--queen", queen.Address, "infer", "hi")
	elsewhere.Env = append(elsewhere.Env, "RBEE_QUEEN=")
	refused, err := elsewhere.CombinedOutput()
	if err == nil {
		t.Error("she takes a job")
	}
	says(t, string(refused), "the queen is stopping and takes no more jobs", "`rbee queen start` starts one again")

	cmd := p.command("infer", "-n", "1", "hi")
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stdout.Len() == 0 {
		t.Errorf("the next one ends with %v: %s", err, stderr.String())
	}
	says(t, stderr.String(), "waiting for the end of the queen that is stopping", "starting the queen")
	if now := p.record("queen"); now.PID == queen.PID || queen.Alive() {
		t.Errorf("the queen is %+v, was %+v", now, queen)
	}
}

// TestAStartDuringAStopStartsTheNextQueen, once the one that is stopping has ended.
func TestAStartDuringAStopStartsTheNextQueen(t *testing.T) {
	t.Parallel() // it waits
	p, queen := stopping(t)
	cmd := p.command("queen", "start")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	says(t, string(out), "waiting for the end of the queen that is stopping", "starting the queen", "up at ")
	if now := p.record("queen"); now.PID == queen.PID || queen.Alive() {
		t.Errorf("the queen is %+v, was %+v", now, queen)
	}
}
