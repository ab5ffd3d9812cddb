package queen

import (
	"path/filepath"
	"testing"
	"time"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
)

func TestTheBooksTellWhatIsUpAndRememberWhatWas(t *testing.T) {
	s, err := openStore(t.Context(), filepath.Join(t.TempDir(), "queen.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := books{schedule: schedule.New(schedule.Options{})}
	if err := b.load(t.Context(), s, nil); err != nil {
		t.Fatal(err)
	}
	if h, ok := b.get(ops.LocalHive); !ok || h.State != ops.HiveDown || h.Devices == nil {
		t.Errorf("a hive that never ran: %+v", h)
	}
	if _, ok := b.get("mars"); ok {
		t.Error("a hive that nobody knows")
	}
	started := time.Now()
	b.heard(ops.LocalHive, ops.HiveSnapshot{
		Hive:    ops.Hive{ID: ops.LocalHive, Version: "1", PID: 7, StartedAt: &started},
		Workers: []ops.Worker{{ID: "w1", State: ops.WorkerReady}, {ID: "w2", State: ops.WorkerFailed}},
		Models:  []ops.Model{{ID: "m"}},
	}, time.Now())
	h, _ := b.get(ops.LocalHive)
	if h.State != ops.HiveUp || h.Workers != 1 || h.Models != 1 || h.PID != 7 || h.LastSeen == nil || len(b.workers()) != 2 {
		t.Errorf("a hive that is up: %+v", h)
	}
	if !b.lost(ops.LocalHive, "it broke") || b.lost(ops.LocalHive, "it broke") {
		t.Error("going down is told once")
	}
	h, _ = b.get(ops.LocalHive)
	if h.State != ops.HiveDown || h.Error != "it broke" || h.PID != 0 || h.Workers != 0 || h.Models != 1 || h.Version != "1" || len(b.workers()) != 0 {
		t.Errorf("a hive that went down: %+v", h)
	}
}

func TestTheBooksAreSavedOnceForWhatIsNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queen.db")
	s, err := openStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := books{schedule: schedule.New(schedule.Options{})}
	if err := b.load(t.Context(), s, map[string]record{"gpu1": {Host: "gpu1", User: "alice"}}); err != nil {
		t.Fatal(err)
	}
	if h, _ := b.get("gpu1"); h.Host != "alice@gpu1" {
		t.Errorf("the host is %q", h.Host)
	}
	for _, version := range []string{"1", "2"} {
		b.heard("gpu1", ops.HiveSnapshot{Hive: ops.Hive{ID: "gpu1", Version: version}}, time.Now())
	}
	b.heard("mars", ops.HiveSnapshot{}, time.Now()) // removed meanwhile
	if err := b.save(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if snapshot, seen, err := s.Hive(t.Context(), "gpu1"); err != nil || snapshot.Hive.Version != "2" || seen.IsZero() {
		t.Errorf("saved: %+v, %v, %v", snapshot, seen, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.save(t.Context(), s); err != nil {
		t.Errorf("there is nothing new to save: %v", err)
	}
}
