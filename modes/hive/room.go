package hive

import (
	"context"

	"rbee.dev/rbee/ops"
)

// makeRoom sees that a model's weights fit into the machine's memory: it refuses
// what is larger than all of it, unloads workers that have nothing to do where
// too little is free, and warns where that is not enough. It is rough: weights
// are mapped, so what other programs could give up counts as free.
func (h *Hive) makeRoom(ctx context.Context, m ops.Model) error {
	size := uint64(max(0, m.Size))
	for {
		total, free := h.Memory(ctx)
		switch {
		case total == 0 || size <= free: // or nobody can say
			return nil
		case size > total:
			return ops.Errorf(ops.CodeUnavailable, "%s takes %s of memory, and hive %s has %s", m.ID, humanBytes(size), h.Name, humanBytes(total)).
				WithHint("take a smaller model, or one with fewer bits per weight")
		}
		idle := h.fleet.idlest()
		if idle == nil {
			ops.Warn(ctx, "memory_short", "%s takes %s of memory, and only %s are free: it may be slow", m.ID, humanBytes(size), humanBytes(free))
			return nil
		}
		ops.Narrate(ctx, "worker_unload", "unloading %s, worker %s, which has nothing to do, to make room", idle.tell().Model, idle.id)
		if err := h.fleet.remove(ctx, idle); err != nil {
			return err
		}
	}
}

// idlest is the worker that has had nothing to do for longest, or nil. It gets
// no more jobs: the caller ends it.
func (f *fleet) idlest() *member {
	f.mu.Lock()
	defer f.mu.Unlock()
	var oldest *member
	for _, m := range f.members {
		if m.isIdle() && (oldest == nil || m.lastUsed().Before(oldest.lastUsed())) {
			oldest = m
		}
	}
	if oldest != nil {
		oldest.mu.Lock()
		defer oldest.mu.Unlock()
		oldest.asked = true // jobs are given under the fleet's lock, so none came meanwhile
	}
	return oldest
}

func (m *member) isIdle() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.info.State == ops.WorkerReady && m.info.Running == 0 && m.given == 0 && !m.asked && m.info.PartOf == ""
}
