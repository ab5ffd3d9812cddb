package modes_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rbee.dev/rbee/modes/daemon"
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
}

// TestDaemonsWhoseFilesAreRemovedEnd: no command would find them any more.
func TestDaemonsWhoseFilesAreRemovedEnd(t *testing.T) {
	p := newPlace(t)
	p.rbee("infer", "-n", "1", "hi")
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
	p.rbee("infer", "-n", "1", "hi")
}
