package modes_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

// TestTheBuiltInModelComesBackWhereTheModelsFolderIsRemoved: whoever asks for it finds
// it again, also where its worker has gone meanwhile.
func TestTheBuiltInModelComesBackWhereTheModelsFolderIsRemoved(t *testing.T) {
	p := newPlace(t)
	for range 2 {
		p.rbee("infer", "-m", "tinybee", "-n", "1", "hi")
		for _, w := range p.workers() {
			p.rbee("worker", "delete", w.ID)
		}
		if err := os.RemoveAll(filepath.Join(p.home, "cache")); err != nil {
			t.Fatal(err)
		}
	}
	p.rbee("worker", "spawn", "tinybee")
	p.rbee("worker", "delete", p.workers()[0].ID)
	if err := os.RemoveAll(filepath.Join(p.home, "cache")); err != nil {
		t.Fatal(err)
	}
	noticed := ops.Hive{Models: 1}
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && noticed.Models > 0; {
		if err := json.Unmarshal([]byte(p.rbee("hive", "get", "-o", "json")), &noticed); err != nil {
			t.Fatal(err)
		}
	}
	p.rbee("infer", "-n", "1", "hi")
}

// TestDaemonsWhoseFilesAreRemovedEnd: no command would find them any more.
func TestDaemonsWhoseFilesAreRemovedEnd(t *testing.T) {
	p := newPlace(t)
	p.rbee("infer", "-n", "1", "hi")
	a := p.begin()
	run := []daemon.Process{p.record("queen").Process, p.record("hive").Process, daemon.ProcessOf(p.workers()[0].PID)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for os.RemoveAll(filepath.Join(p.home, "state")) != nil && ctx.Err() == nil { // they write while they live
	}
	for _, process := range run {
		if err := daemon.WaitEnd(ctx, process); err != nil {
			t.Error(err)
		}
	}
	// The hive may have ended the job before the queen ends.
	_, code := a.end()
	lost := code == 1 && strings.Contains(a.stderr.String(), "the job is lost: the folder "+filepath.Join(p.home, "state")+" was removed")
	ended := code == 130 && strings.Contains(a.stderr.String(), "the hive is stopping")
	if !lost && !ended {
		t.Errorf("the answer ends with %d: %s", code, a.stderr.String())
	}
	p.rbee("infer", "-n", "1", "hi")
}
