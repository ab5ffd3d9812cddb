package queen

import (
	"context"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
)

// books is what the queen knows of its hives: what each said last, and whether
// it can be reached now. Lists answer from it without asking anybody.
type books struct {
	mu    sync.Mutex
	hives map[string]*entry
}

type entry struct {
	snapshot ops.HiveSnapshot
	seen     time.Time // zero when it never said anything
	state    ops.HiveState
	err      string // why it is down, when that was not asked for
}

// load takes over what the database remembers. Nothing is up until it says so.
func (b *books) load(ctx context.Context, s *store) error {
	snapshot, seen, err := s.Hive(ctx, ops.LocalHive)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hives = map[string]*entry{ops.LocalHive: {snapshot: snapshot, seen: seen, state: ops.HiveDown}}
	return nil
}

// heard notes what hive id says of itself.
func (b *books) heard(id string, snapshot ops.HiveSnapshot, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hives[id] = &entry{snapshot: snapshot, seen: at, state: ops.HiveUp}
}

// lost notes that hive id went away; its models stay known, its workers do not
// count any more. It reports whether the hive was up before.
func (b *books) lost(id, why string) bool { //nolint:unparam // the books are of all hives, whichever there are
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.hives[id]
	was := e.state == ops.HiveUp
	e.state, e.err = ops.HiveDown, why
	return was
}

// get returns hive id as the queen knows it.
func (b *books) get(id string) (ops.Hive, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.hives[id]
	if !ok {
		return ops.Hive{}, false
	}
	return e.hive(id), true
}

// ids lists the hives' names.
func (b *books) ids() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := make([]string, 0, len(b.hives))
	for id := range b.hives {
		ids = append(ids, id)
	}
	return ids
}

// workers lists the workers of hives that are up.
func (b *books) workers() []ops.Worker {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := []ops.Worker{}
	for _, e := range b.hives {
		if e.state == ops.HiveUp {
			all = append(all, e.snapshot.Workers...)
		}
	}
	return all
}

func (e *entry) hive(id string) ops.Hive {
	h := e.snapshot.Hive
	h.ID, h.State, h.Error = id, e.state, e.err
	h.Models = len(e.snapshot.Models)
	if h.Devices == nil {
		h.Devices = []ops.Device{}
	}
	if !e.seen.IsZero() {
		seen := e.seen
		h.LastSeen = &seen
	}
	if e.state == ops.HiveUp {
		h.Workers = running(e.snapshot.Workers)
		return h
	}
	h.PID, h.StartedAt, h.Workers = 0, nil, 0
	return h
}

// running counts the workers that have not failed.
func running(workers []ops.Worker) int {
	n := 0
	for _, w := range workers {
		if w.State != ops.WorkerFailed {
			n++
		}
	}
	return n
}
