package queen

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
)

// keeping is a queen with a hive, gpu1, that has what it is asked for, and her
// database.
func keeping(t *testing.T, do func(context.Context, ops.HiveOp) (any, error)) *Queen {
	t.Helper()
	q := serving(t, do)
	var err error
	if q.store, err = openStore(t.Context(), filepath.Join(t.TempDir(), "queen.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

// TestHowAWorkerWasStartedIsKept until a person ends it or spawns another, and through
// a restart of the queen.
func TestHowAWorkerWasStartedIsKept(t *testing.T) {
	own := ops.WorkerSpawn{Model: "small", Engine: "command", Command: "serve {socket}", Parallel: 2}
	first := ops.Worker{ID: "w1", HiveID: "gpu1", Model: "small"}
	for name, tt := range map[string]struct {
		then func(q *Queen) error
		want string // the worker whose settings are kept, or ""
	}{
		"as long as nobody does anything": {func(*Queen) error { return nil }, "w1"},
		"not once it was ended":           {func(q *Queen) error { return q.ended(t.Context(), "gpu1", "w1") }, ""},
		"though another was":              {func(q *Queen) error { return q.ended(t.Context(), "gpu1", "whole") }, "w1"},
		"not once one is spawned as usual after it": {func(q *Queen) error {
			return q.keep(t.Context(), ops.WorkerSpawn{Model: "small"}, ops.Worker{ID: "w2", HiveID: "gpu1", Model: "small"})
		}, ""},
		"as the newest of them": {func(q *Queen) error {
			return q.keep(t.Context(), own, ops.Worker{ID: "w2", HiveID: "gpu1", Model: "small"})
		}, "w2"},
		"not with its hive": {func(q *Queen) error { q.schedule.Forget("gpu1"); return q.store.Forget(t.Context(), "gpu1") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			q := keeping(t, nil)
			if err := q.keep(t.Context(), own, first); err != nil {
				t.Fatal(err)
			}
			if err := tt.then(q); err != nil {
				t.Fatal(err)
			}
			for _, when := range []string{"now", "after a restart"} {
				k, _, ok := q.schedule.Kept("gpu1", "small")
				if k.Worker != tt.want || ok != (tt.want != "") || ok && (k.Spawn.Command != own.Command || k.Spawn.HiveID != "gpu1") {
					t.Errorf("%s it is kept as %+v, %v", when, k, ok)
				}
				q.schedule.Close()
				q.schedule = schedule.New(schedule.Options{})
				if err := q.remindKept(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestWhatIsKeptGoesWithAHivesName.
func TestWhatIsKeptGoesWithAHivesName(t *testing.T) {
	q := keeping(t, nil)
	o := ops.WorkerSpawn{Model: "big", Split: ops.Split{Hives: []string{"gpu1", "gpu2"}}}
	if err := q.keep(t.Context(), o, ops.Worker{ID: "w1", HiveID: "gpu1", Model: "big"}); err != nil {
		t.Fatal(err)
	}
	if err := q.moveKept(t.Context(), "gpu1", "rack"); err != nil {
		t.Fatal(err)
	}
	k, _, ok := q.schedule.Kept("rack", "big")
	if !ok || k.Spawn.HiveID != "rack" || strings.Join(k.Spawn.Hives, " ") != "rack gpu2" {
		t.Errorf("it is kept as %+v, %v", k, ok)
	}
}

// TestAWorkerIsStartedAgainAsItWas: with its settings, and an error says how the
// model is had without them.
func TestAWorkerIsStartedAgainAsItWas(t *testing.T) {
	var asked ops.WorkerSpawn
	var refusal error
	q := keeping(t, func(_ context.Context, o ops.HiveOp) (any, error) {
		asked = o.(ops.WorkerSpawn)
		return ops.Worker{ID: "w2", HiveID: "gpu1", Model: "small"}, refusal
	})
	o := ops.WorkerSpawn{OnHive: ops.OnHive{HiveID: "gpu1"}, Model: "small", Engine: "command", Command: "serve --api-key secret {socket}"}
	plan := schedule.Plan{Hive: "gpu1", Model: "small", Engine: "command", As: &o}
	said := &noted{}
	if _, err := (fleet{q}).Start(ops.WithSink(t.Context(), said), plan); err != nil || asked.Command != o.Command {
		t.Errorf("the hive is asked for %+v: %v", asked, err)
	}
	if k, _, ok := q.schedule.Kept("gpu1", "small"); !ok || k.Worker != "w2" {
		t.Errorf("it is kept as %+v, %v", k, ok)
	}
	if text := strings.Join(said.said, "\n"); !strings.Contains(text, "small comes back on gpu1 as it was started there: --engine command") || strings.Contains(text, "secret") {
		t.Errorf("it says %q", text)
	}
	refusal = ops.Errorf(ops.CodeUnavailable, "it ended").WithHint("see its log")
	_, err := (fleet{q}).Start(ops.WithSink(t.Context(), said), plan)
	if e := ops.AsError(err); e == nil || e.Hint != "see its log; `rbee worker spawn small --hive gpu1` has it run as usual from now on" {
		t.Errorf("it fails with %v", err)
	}
}
