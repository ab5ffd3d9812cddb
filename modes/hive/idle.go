package hive

import (
	"context"
	"slices"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

// unloading unloads workers that have had nothing to do for the idle timeout,
// those of pinned models excepted, until ctx ends.
func (h *Hive) unloading(ctx context.Context) {
	if h.IdleTimeout == 0 {
		return
	}
	for {
		m, wait := h.fleet.expired(func(i ops.Worker) bool { return !h.models.pinned(i.Model) }, h.IdleTimeout)
		if m == nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait): // none can be due earlier
			}
			continue
		}
		if !m.retire(ctx) {
			continue
		}
		h.Log.Info().Str("worker", m.id).Str("model", m.tell().Model).Dur("idle", h.IdleTimeout).Msg("unloading a worker that has nothing to do")
		if err := h.fleet.remove(ctx, m); err != nil {
			if ctx.Err() != nil {
				return
			}
			h.Log.Error().Err(err).Str("worker", m.id).Msg("a worker that has nothing to do stays")
		}
	}
}

// workers lists the workers, with when they are unloaded.
func (h *Hive) workers() []ops.Worker {
	workers := h.fleet.list()
	for i, w := range workers {
		if m, err := h.fleet.find(w.ID); err == nil {
			workers[i].UnloadsAt = h.unloadsAt(m, w)
		}
	}
	return workers
}

// unloadsAt is when a worker is unloaded if it gets nothing to do, or nil.
func (h *Hive) unloadsAt(m *member, w ops.Worker) *time.Time {
	used := m.lastUsed()
	if h.IdleTimeout == 0 || used.IsZero() || w.PartOf != "" || w.State != ops.WorkerReady && w.State != ops.WorkerBusy || h.models.pinned(w.Model) {
		return nil
	}
	at := used.Add(h.IdleTimeout).UTC().Truncate(time.Second)
	return &at
}

// expired is a worker that has had nothing to do for that long, or nil; it gets
// no more jobs: the caller ends it. Without one it tells how long none can be.
func (f *fleet) expired(may func(ops.Worker) bool, after time.Duration) (expired *member, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.idlest(may)
	if m == nil {
		return nil, after
	}
	if wait = after - time.Since(m.lastUsed()); wait > 0 {
		return nil, wait
	}
	m.dismiss()
	return m, 0
}

// idlest is the worker that has had nothing to do for longest, of those that may
// go, or nil. The caller holds the lock, under which jobs are given.
func (f *fleet) idlest(may func(ops.Worker) bool) *member {
	var oldest *member
	for _, m := range f.members {
		if m.isIdle() && may(m.tell()) && (oldest == nil || m.lastUsed().Before(oldest.lastUsed())) {
			oldest = m
		}
	}
	return oldest
}

// busyIn reports whether one of those that may go has something to do, or reads
// its model, and stays for as long.
func (f *fleet) busyIn(may func(ops.Worker) bool) bool {
	return slices.ContainsFunc(f.all(), func(m *member) bool {
		i := m.tell()
		return i.State != ops.WorkerFailed && i.PartOf == "" && may(i) && !m.isIdle()
	})
}

// spare is idlest for who ends that worker: it gets no more jobs.
func (f *fleet) spare(may func(ops.Worker) bool) *member {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.idlest(may)
	if m != nil {
		m.dismiss()
	}
	return m
}

// dismiss has the worker get no more jobs.
func (m *member) dismiss() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parting = true
}

// retireWithin is how long a worker may take to say that it has something to do.
const retireWithin = 2 * time.Second

// retire asks a worker that was dismissed whether it has nothing to do, and takes
// no more from now on: requests of the queen's go past the hive, which hears of
// them a moment later. Where it has, it is used as before. One that does not answer
// is no better kept.
func (m *member) retire(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), retireWithin) // its end is begun
	defer cancel()
	m.mu.Lock()
	m.asked = true // it ends at once, which is then no failure
	m.mu.Unlock()
	if err := m.client.Post(ctx, daemon.RetirePath, nil, nil); ops.CodeOf(err) != ops.CodeConflict {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked, m.parting, m.used = false, false, time.Now()
	return false
}

// retireIdle has the worker take no more, or is the error of one that is not unloaded.
func (h *Hive) retireIdle(ctx context.Context, m *member) error {
	if model := m.tell().Model; h.models.pinned(model) {
		return ops.Errorf(ops.CodeConflict, "worker %s stays: its model %s is pinned", m.id, model).
			WithHint("`rbee model unpin %s%s` changes that", model, ops.HiveFlag(h.Name))
	}
	if h.fleet.spare(func(i ops.Worker) bool { return i.ID == m.id }) == nil || !m.retire(ctx) {
		return ops.Errorf(ops.CodeConflict, "worker %s stays: it has something to do", m.id).WithHint("`rbee worker delete %s%s` ends it all the same", m.id, ops.HiveFlag(h.Name))
	}
	return nil
}

func (m *member) isIdle() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return (m.info.State == ops.WorkerReady || m.info.Broken()) && m.info.Running == 0 && m.given == 0 && !m.asked && !m.parting && m.info.PartOf == ""
}
