package queen

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
)

func TestWorkersOfAHiveThatDoesNotAnswerAreAsItSaidLast(t *testing.T) {
	q, err := New(options(t, "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer end(t, q)
	if err := q.books.load(t.Context(), q.store, map[string]record{"gpu1": {Host: "gpu1"}}); err != nil {
		t.Fatal(err)
	}
	if h, _ := q.hiveNow(ops.LocalHive); !strings.Contains(h.Error, "not started yet") {
		t.Errorf("a hive that nothing has needed: %+v", h)
	}
	if h, _ := q.hiveNow("gpu1"); h.State != ops.HiveDown || h.Error != "the queen is connecting to it" {
		t.Errorf("a hive that is not reached yet: %+v", h)
	}
	said := ops.HiveSnapshot{Workers: []ops.Worker{{ID: "w1", State: ops.WorkerBusy, Running: 3}, {ID: "w2", State: ops.WorkerFailed}}}
	for _, id := range []string{"gpu1", ops.LocalHive} {
		q.books.heard(id, said, time.Now())
		if list := q.workersOf(id); len(list) != 2 || list[0].State != ops.WorkerBusy {
			t.Errorf("%s is up: %+v", id, list)
		}
		q.books.lost(id, "no route to host")
	}
	list := q.workersOf("gpu1")
	if len(list) != 2 || list[0].State != ops.WorkerUnknown || list[0].Running != 0 || list[1].State != ops.WorkerFailed {
		t.Errorf("gpu1 does not answer: %+v", list)
	}
	if h, _ := q.hiveNow("gpu1"); h.Workers != 1 {
		t.Errorf("it has %d workers", h.Workers)
	}
	if list := q.workersOf(ops.LocalHive); len(list) != 0 {
		t.Errorf("no process of a worker is on this machine: %+v", list)
	}
	folder := q.Home.Worker("w1")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	pid, _, err := daemon.Lock(filepath.Join(folder, home.WorkerPID), daemon.Record{Process: daemon.Self()})
	if err != nil {
		t.Fatal(err)
	}
	defer pid.Release()
	if list := q.workersOf(ops.LocalHive); len(list) != 2 {
		t.Errorf("one runs: %+v", list)
	}
	q.local.allow(false)
	if list := q.workersOf(ops.LocalHive); len(list) != 0 {
		t.Errorf("the hive was stopped, and its workers with it: %+v", list)
	}
}
