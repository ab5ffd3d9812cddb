package hive_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/hive"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
	"rbee.dev/rbee/transport"
)

// TestTheIdleTimerUnloadsWhatIsNotPinned: of two models, each with a worker that
// has nothing to do, the pinned one's stays; once it is unpinned it goes too.
func TestTheIdleTimerUnloadsWhatIsNotPinned(t *testing.T) {
	h := newHome(t)
	c := client(t, h)
	stop := run(t, h, func(o *hive.Options) { o.IdleTimeout = 200 * time.Millisecond })
	defer stop(daemon.ScopeAll)
	other(t, c)
	if m := do(t, c, ops.ModelPin{ID: "other"}); m.ID != "other" || !m.Pinned {
		t.Fatalf("pinned: %+v", m)
	}
	kept := do(t, c, ops.WorkerSpawn{Model: "other"})
	do(t, c, ops.WorkerSpawn{Model: "tinybee"})
	if left := await(t, c, left(1)).Workers; left[0].ID != kept.ID {
		t.Errorf("left is %+v, and it should be the pinned model's %s", left, kept.ID)
	}
	if got := infer(t, c, ops.Infer{Prompt: "x", WorkerID: kept.ID}, nil); got.err != nil {
		t.Errorf("the pinned model's worker: %v", got.err)
	}
	if m := do(t, c, ops.ModelUnpin{ID: "other"}); m.Pinned || do(t, c, ops.ModelGet{ID: "other"}).Pinned {
		t.Errorf("unpinned: %+v", m)
	}
	await(t, c, left(0))
}

func TestAWorkerTellsWhenItIsUnloaded(t *testing.T) {
	h := newHome(t)
	c := client(t, h)
	stop := run(t, h, func(o *hive.Options) { o.IdleTimeout = time.Hour })
	defer stop(daemon.ScopeAll)
	before := time.Now()
	do(t, c, ops.WorkerSpawn{Model: "tinybee"})
	told := await(t, c, func(s ops.HiveSnapshot) bool { return len(s.Workers) == 1 && s.Workers[0].UnloadsAt != nil }).Workers[0]
	if in := told.UnloadsAt.Sub(before); in < 59*time.Minute || in > 70*time.Minute {
		t.Errorf("it is unloaded in %s, of an idle timeout of an hour", in)
	}
	do(t, c, ops.ModelPin{ID: "tinybee"})
	if w := do(t, c, ops.WorkerList{}).Workers; len(w) != 1 || w[0].UnloadsAt != nil {
		t.Errorf("a pinned model's: %+v", w)
	}
}

// left is a hive with so many workers.
func left(n int) func(ops.HiveSnapshot) bool {
	return func(s ops.HiveSnapshot) bool { return len(s.Workers) == n }
}

func TestAPinOutlivesTheHive(t *testing.T) {
	h := newHome(t)
	c := client(t, h)
	stop := run(t, h)
	other(t, c)
	for range 2 { // the second does nothing more
		do(t, c, ops.ModelPin{ID: "other"})
	}
	stop(daemon.ScopeAll)
	defer run(t, h)(daemon.ScopeAll)
	for _, m := range do(t, c, ops.ModelList{}).Models {
		if m.Pinned != (m.ID == "other") {
			t.Errorf("after a restart %s is pinned: %v", m.ID, m.Pinned)
		}
	}
	fails(t, c, ops.ModelPin{ID: "nothing"}, ops.CodeNotFound, `no model "nothing"`)
}

// other brings a second model, called so.
func other(t *testing.T, c *transport.Client) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "other.gguf")
	if err := os.WriteFile(file, testdata.Tinybee(), 0o600); err != nil {
		t.Fatal(err)
	}
	do(t, c, ops.ModelDownload{Model: file})
}
