package modes_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

func TestTheHiveOfThisMachineCanBeAServiceOfItsOwn(t *testing.T) {
	t.Parallel()                                     // it waits
	p := newPlace(t, "XDG_RUNTIME_DIR="+t.TempDir()) // where no service manager answers
	local := func() (h ops.Hive) {
		t.Helper()
		if err := json.Unmarshal([]byte(p.rbee("hive", "status", "-o", "json")), &h); err != nil {
			t.Fatal(err)
		}
		return h
	}
	want := p.rbee("infer", "-q", "-n", "5", "--seed", "1", "Once upon a time")
	workers := p.workers()
	p.rbee("hive", "install")
	p.rbee("hive", "install") // harmless
	h := local()
	if h.State != ops.HiveUp || len(p.workers()) != 1 || p.workers()[0].PID != workers[0].PID {
		t.Errorf("installed: %+v, workers %+v, before %+v", h, p.workers(), workers)
	}

	p.rbee("queen", "stop") // which ends nothing that she did not start
	if record := p.record("hive"); record.PID != h.PID {
		t.Errorf("without a queen the hive is %+v, it was process %d", record, h.PID)
	}
	if got := p.rbee("infer", "-q", "-n", "5", "--seed", "1", "Once upon a time"); got != want {
		t.Errorf("then it says %q, before %q", got, want)
	}
	p.kill(p.record("hive").PID)
	if got := p.rbee("infer", "-q", "-n", "5", "--seed", "1", "Once upon a time"); got != want {
		t.Errorf("after the hive was killed it says %q, before %q", got, want)
	}
	if now := local(); now.State != ops.HiveUp || now.PID == h.PID {
		t.Errorf("after the hive was killed: %+v", now)
	}
	p.rbee("hive", "stop", "localhost")
	if said := p.rbee("hive", "list"); !strings.Contains(said, "down") && !strings.Contains(said, "stopped") {
		t.Errorf("stopped: %s", said)
	}
	p.rbee("hive", "start", "localhost")
	p.rbee("hive", "uninstall", "localhost")
	if left, err := filepath.Glob(filepath.Join(p.home, "state", "service", "*")); err != nil || len(left) > 0 {
		t.Errorf("left of the service: %v, %v", left, err)
	}
	if got := p.rbee("infer", "-q", "-n", "5", "--seed", "1", "Once upon a time"); got != want {
		t.Errorf("as the queen's own again it says %q, before %q", got, want)
	}
	if _, err := os.Stat(filepath.Join(p.home, "state", "queen.db")); err != nil {
		t.Error(err)
	}
}

func TestAHiveThatIsStartedLateIsKnownAtOnce(t *testing.T) {
	t.Parallel() // it waits
	p := newPlace(t)
	p.rbee("queen", "start")
	time.Sleep(3 * time.Second) // by then the queen looks for a hive seldom
	p.rbee("model", "list")
	var h ops.Hive
	for end := time.Now().Add(time.Second); h.State != ops.HiveUp && time.Now().Before(end); {
		if err := json.Unmarshal([]byte(p.rbee("hive", "get", "localhost", "-o", "json")), &h); err != nil {
			t.Fatal(err)
		}
	}
	if h.State != ops.HiveUp {
		t.Errorf("the hive that was just asked is shown as %+v", h)
	}
}
