package modes_test

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

func TestARestartReplacesAHiveThatHangs(t *testing.T) {
	p := newPlace(t)
	p.rbee("infer", "-n", "1", "hi")
	worker, hung := p.workers()[0], p.record("hive")
	if err := syscall.Kill(hung.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.rbee("queen", "restart")
	// Nothing wants it, but its workers run.
	list := ""
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end) && !strings.Contains(list, " up "); {
		list = p.rbee("hive", "list")
	}
	if !strings.Contains(list, " up ") {
		t.Fatalf("the hive does not come back: %s", list)
	}
	if again := p.record("hive"); again.PID == hung.PID || hung.Alive() {
		t.Errorf("the hive that hung is still there: %+v", again)
	}
	if list := p.workers(); len(list) != 1 || list[0].PID != worker.PID {
		t.Errorf("the worker was not kept: %+v, was %+v", list, worker)
	}
}

func TestCtrlCWhileAJobIsFollowedSaysThatTheJobGoesOn(t *testing.T) {
	p := newPlace(t)
	a := p.begin()
	var list struct{ Jobs []ops.Job }
	if err := json.Unmarshal([]byte(p.rbee("job", "list", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	follow := p.watch("job", "follow", list.Jobs[0].ID)
	if err := follow.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, code := follow.end(); code != 130 || !strings.Contains(follow.stderr.String(), "the job itself goes on: `rbee job follow "+list.Jobs[0].ID) {
		t.Errorf("code %d, said %q", code, follow.stderr.String())
	}
	if _, code := a.end(); code != 0 {
		t.Errorf("the job's own command ends with %d: %s", code, a.stderr.String())
	}
}

func TestAStopRightAfterARestartLeavesNoHiveBehind(t *testing.T) {
	p := newPlace(t)
	p.rbee("infer", "--max-tokens", "1", "hi")
	for range 3 { // each time the hive of the worker that runs is just being started
		p.rbee("queen", "restart")
		p.rbee("queen", "stop")
		p.nothingRuns()
		p.rbee("infer", "--max-tokens", "1", "hi")
	}
}
