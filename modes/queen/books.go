package queen

import (
	"context"
	"errors"
	"sync"
	"time"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
)

// books is what the queen knows of its hives: what each said last, and whether
// it can be reached now. Lists answer from it without asking anybody.
type books struct {
	schedule *schedule.Scheduler // is told all that the books are
	changed  chan struct{}       // holds a token when something has changed
	bell     bell                // rings when something has changed

	mu    sync.Mutex
	hives map[string]*entry
}

type entry struct {
	host     string // user@host:port; empty for the queen's own machine
	snapshot ops.HiveSnapshot
	seen     time.Time // zero when it never said anything
	state    ops.HiveState
	err      string // why it is down, when that was not asked for
	unsaved  bool   // the database has not seen the snapshot yet
}

// turned notes that something has changed.
func (b *books) turned() {
	b.bell.ring()
	select {
	case b.changed <- struct{}{}:
	default: // nobody has looked since the last time
	}
}

// load takes over what the database remembers of the local hive and of those
// that were installed. Nothing is up until it says so.
func (b *books) load(ctx context.Context, s *store, remotes map[string]record) error {
	if err := b.add(ctx, s, ops.LocalHive, ""); err != nil {
		return err
	}
	for id, r := range remotes {
		if err := b.add(ctx, s, id, r.address()); err != nil {
			return err
		}
	}
	return nil
}

// add takes a hive into the books, with what it said last.
func (b *books) add(ctx context.Context, s *store, id, host string) error {
	snapshot, seen, err := s.Hive(ctx, id)
	if err != nil {
		return err
	}
	defer b.turned()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hives == nil {
		b.hives = map[string]*entry{}
	}
	b.hives[id] = &entry{host: host, snapshot: snapshot, seen: seen, state: ops.HiveDown}
	b.schedule.Remember(id, snapshot)
	return nil
}

// remove takes a hive out of the books.
func (b *books) remove(id string) {
	defer b.turned()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.hives, id)
	b.schedule.Forget(id)
}

// heard notes what hive id says of itself.
func (b *books) heard(id string, snapshot ops.HiveSnapshot, at time.Time) {
	defer b.turned()
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.hives[id]; e != nil {
		b.hives[id] = &entry{host: e.host, snapshot: snapshot, seen: at, state: ops.HiveUp, unsaved: true}
		b.schedule.Heard(id, snapshot)
	}
}

// absent is lost for a hive that does not run: why it is down stays what it was.
func (b *books) absent(id string) bool {
	b.mu.Lock()
	why := ""
	if e := b.hives[id]; e != nil && e.state == ops.HiveDown {
		why = e.err
	}
	b.mu.Unlock()
	return b.lost(id, why)
}

// stays notes why hive id, which is down, does not come up.
func (b *books) stays(id, why string) {
	b.mu.Lock()
	e := b.hives[id]
	down := e != nil && e.state != ops.HiveUp
	b.mu.Unlock()
	if down {
		b.lost(id, why)
	}
}

// lost notes that hive id is down and why; its models stay known, its workers do
// not count any more. It reports whether the hive was up before.
func (b *books) lost(id, why string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.hives[id]
	if e == nil {
		return false
	}
	was := e.state == ops.HiveUp
	if was || e.err != why {
		b.turned()
	}
	e.state, e.err = ops.HiveDown, why
	if was {
		b.schedule.Lost(id)
	}
	b.schedule.Down(id, why)
	return was
}

// models lists the models of hives that are up, and of the queen's own, which is
// started when it is needed.
func (b *books) models() []ops.Model {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := []ops.Model{}
	for id, e := range b.hives {
		if e.state == ops.HiveUp || id == ops.LocalHive {
			all = append(all, e.snapshot.Models...)
		}
	}
	return all
}

// get returns hive id as the queen knows it.
func (b *books) get(id string) (ops.Hive, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.hives[id]
	if !ok {
		return ops.Hive{}, false
	}
	h := e.hive(id)
	h.Drained = b.schedule.HiveDrained(id)
	return h, true
}

// has reports whether there is a hive id.
func (b *books) has(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hives[id] != nil
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
	h.ID, h.Host, h.State, h.Error = id, e.host, e.state, e.err
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

// snapshot returns what hive id said last, and whether it is up.
func (b *books) snapshot(id string) (ops.HiveSnapshot, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.hives[id]
	if e == nil {
		return ops.HiveSnapshot{}, false
	}
	return e.snapshot, e.state == ops.HiveUp
}

// save writes down what hives have said since the last time.
func (b *books) save(ctx context.Context, s *store) error {
	b.mu.Lock()
	fresh := map[string]entry{}
	for id, e := range b.hives {
		if e.unsaved {
			fresh[id] = *e
			e.unsaved = false
		}
	}
	b.mu.Unlock()
	var errs []error
	for id, e := range fresh {
		errs = append(errs, s.SaveHive(ctx, id, e.snapshot, e.seen))
	}
	return errors.Join(errs...)
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
