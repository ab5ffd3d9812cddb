package modes_test

import (
	"encoding/json"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

func TestARestartReplacesAHiveThatHangs(t *testing.T) {
	t.Parallel() // it waits
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

func TestAStopEndsWhatHangs(t *testing.T) {
	t.Parallel() // it waits
	p := newPlace(t)
	p.rbee("infer", "-n", "1", "hi")
	p.rbee("worker", "spawn", "tinybee")
	hung := []int{p.record("hive").PID}
	for _, w := range p.workers() {
		hung = append(hung, w.PID)
	}
	for _, pid := range hung {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	p.rbee("queen", "stop")
	p.nothingRuns()
}

// TestAHiveIsStoppedWithoutAQueen: a queen that was killed has left its hive and
// workers behind, and none is started to stop them.
func TestAHiveIsStoppedWithoutAQueen(t *testing.T) {
	p := newPlace(t)
	p.rbee("infer", "-n", "1", "hi")
	p.kill(p.record("queen").PID)
	for range 2 { // the second finds nothing
		if out := p.rbee("hive", "stop"); !strings.Contains(out, "down") {
			t.Errorf("it says %s", out)
		}
		p.nothingRuns()
	}
}

func TestARestartThatCouldNotBeginLeavesTheQueen(t *testing.T) {
	p := newPlace(t)
	p.rbee("queen", "start")
	before := p.record("queen")
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		set, says string
		code      int
	}{
		{"RBEE_LISTEN=" + taken.Addr().String(), "another program has the port", 1},
		{"RBEE_LISTEN=nowhere", "must be HOST:PORT", 2},
		{"RBEE_HOST_NAMES=llm.example.org", "`rbee key create --name NAME`, and this again", 1}, // as of `queen serve`
		{"RBEE_QUEUE_DEPTH=-1", "must be at least 1", 2},
		{"RBEE_IDLE_TIMEOUT=soon", "idle-timeout", 2},
	} {
		cmd := p.command("queen", "restart")
		cmd.Env = append(cmd.Env, tt.set)
		if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != tt.code || !strings.Contains(string(out), "the queen that runs goes on") || !strings.Contains(string(out), tt.says) {
			t.Errorf("%s: %v, %s", tt.set, err, out)
		}
		if now := p.record("queen"); now.PID != before.PID || !now.Alive() {
			t.Fatalf("%s: the queen is %+v, was %+v", tt.set, now, before)
		}
	}
	// What could begin does, with the keys and at the address of now.
	p.rbee("key", "create", "--name", "a")
	free := freePort(t)
	cmd := p.command("queen", "restart")
	cmd.Env = append(cmd.Env, "RBEE_LISTEN="+free, "RBEE_HOST_NAMES=llm.example.org")
	if out, err := cmd.CombinedOutput(); err != nil || p.record("queen").Address != free {
		t.Errorf("%v, %s: it listens on %s, not on %s", err, out, p.record("queen").Address, free)
	}
	p.rbee("queen", "restart")
	if now := p.record("queen"); now.Address != free {
		t.Errorf("a restart that names no port listens on %s, not on %s", now.Address, free)
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
	_, code := follow.end()
	said := follow.stderr.String()
	if says(t, said, "the job itself goes on", "`rbee job follow "+list.Jobs[0].ID, "`rbee job cancel "+list.Jobs[0].ID); code != 130 || strings.Contains(said, "rbee: cancelled") {
		t.Errorf("code %d, said %q", code, said)
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
