package modes_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

// TestAHiveThatHangsIsToldOfAndCanBeReplaced: who asks for an answer is told within
// seconds what is the matter, and so is who lists the hives.
func TestAHiveThatHangsIsToldOfAndCanBeReplaced(t *testing.T) {
	t.Parallel() // it waits
	p := newPlace(t)
	p.rbee("infer", "-n", "1", "hi")
	worker, hung := p.workers()[0], p.record("hive")
	p.stop(hung.PID)
	for range 2 { // when it is found out, and when it is known
		_, said := p.fails(1, "infer", "-n", "1", "hi")
		says(t, said, "does not answer", "`rbee hive start` ends it and starts another")
		if strings.Contains(said, "is cancelled") {
			t.Errorf("nobody cancelled anything: %s", said)
		}
	}
	says(t, p.rbee("hive", "list"), " down ", "WHY", "does not answer", "`rbee hive start`")
	var list ops.Hives
	if err := json.Unmarshal([]byte(p.rbee("hive", "list", "-o", "json")), &list); err != nil || len(list.Hives) != 1 || !strings.Contains(list.Hives[0].Error, "does not answer") || list.Hives[0].Workers != 1 {
		t.Errorf("%v, %+v", err, list)
	}
	var known ops.Workers // its worker runs, and nobody tells how it is
	if err := json.Unmarshal([]byte(p.rbee("worker", "list", "-o", "json")), &known); err != nil || len(known.Workers) != 1 || known.Workers[0].State != ops.WorkerUnknown || !slices.Equal(known.Silent, []string{"localhost"}) {
		t.Errorf("%v, %+v", err, known)
	}
	says(t, p.rbee("worker", "list"), worker.ID, " unknown ")
	says(t, p.rbee("status"), worker.ID, " unknown ")
	says(t, p.rbee("engine", "list"), "no engines are known of: localhost does not answer; `rbee hive list` says why")
	_, said := p.fails(1, "hive", "status")
	says(t, said, "does not answer", "`rbee hive start` ends it")
	says(t, p.rbee("hive", "start"), " up")
	if now := p.record("hive"); now.PID == hung.PID || hung.Alive() {
		t.Errorf("the hive that hung is still there: %+v", now)
	}
	p.rbee("infer", "-n", "1", "hi")
	if list := p.workers(); len(list) != 1 || list[0].PID != worker.PID {
		t.Errorf("the worker was not kept: %+v, was %+v", list, worker)
	}
	if list := p.rbee("hive", "list"); strings.Contains(list, "WHY") {
		t.Errorf("it is up, and has a reason not to be: %s", list)
	}
}

// TestWhatWantsAHiveThatWasStoppedNamesTheWayBack: each command says that it is
// stopped, and how it is started.
func TestWhatWantsAHiveThatWasStoppedNamesTheWayBack(t *testing.T) {
	p := newPlace(t)
	p.rbee("infer", "-n", "1", "hi")
	p.rbee("hive", "stop")
	for _, command := range [][]string{
		{"worker", "spawn", "tinybee"},
		{"worker", "spawn", "tinybee", "--hive", "localhost"},
		{"infer", "-n", "1", "hi"},
		{"infer", "-m", "tinybee", "-n", "1", "hi"},
		{"infer", "--hive", "localhost", "-n", "1", "hi"},
		{"model", "get", "tinybee"},
	} {
		_, said := p.fails(1, command...)
		says(t, said, "localhost", "stop", "`rbee hive start` starts it")
		if strings.Count(said, "localhost") > 1 {
			t.Errorf("it is said twice: %s", said)
		}
	}
	says(t, p.rbee("hive", "list"), "WHY", "stopped")
	cmd := p.command("worker", "list")
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v", err)
	}
	says(t, string(said), "the hive localhost is stopped", "`rbee hive start` starts it", "no workers are known of: localhost does not answer")
	if strings.Contains(string(said), "worker spawn") {
		t.Errorf("it advises what fails: %s", said)
	}
	says(t, p.rbee("hive", "list"), "this machine", " 0 ")
	p.rbee("hive", "start")
	p.rbee("infer", "-n", "1", "hi")
}

// TestADaemonWhoseBinaryIsGoneStartsOthers: somebody has emptied the cache under it.
func TestADaemonWhoseBinaryIsGoneStartsOthers(t *testing.T) {
	p := newPlace(t)
	p.rbee("hive", "start")
	if err := os.RemoveAll(filepath.Join(p.home, "cache", "bin")); err != nil {
		t.Fatal(err)
	}
	p.rbee("infer", "-n", "1", "hi") // the hive starts a worker
	if err := os.RemoveAll(filepath.Join(p.home, "cache", "bin")); err != nil {
		t.Fatal(err)
	}
	p.kill(p.record("hive").PID)
	p.rbee("hive", "start") // and the queen a hive
	if now := p.record("hive"); !now.Alive() {
		t.Errorf("the hive is %+v", now)
	}
}
