package schedule

import (
	"slices"

	"rbee.dev/rbee/ops"
)

// Kept is how a person has started a worker on a hive, with settings of its own: once
// it has been unloaded, or has ended by itself, it comes back as it was.
type Kept struct {
	Worker string // that was started so last
	Spawn  ops.WorkerSpawn
}

// Keep notes how a worker of the model was started on the hive.
func (s *Scheduler) Keep(hive, model string, k Kept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hiveOf(hive)
	if h.kept == nil {
		h.kept = map[string]Kept{}
	}
	h.kept[model] = k
}

// Unkeep has the model's next worker on the hive be one as usual.
func (s *Scheduler) Unkeep(hive, model string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hives[hive]; h != nil {
		delete(h.kept, model)
	}
}

// Kept is how a worker of the model was started on the hive, and whether it lives.
func (s *Scheduler) Kept(hive, model string) (k Kept, lives, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hives[hive]
	if h == nil {
		return k, false, false
	}
	k, ok = h.kept[model]
	return k, h.lives(k.Worker), ok
}

// AllKept are those of a hive, by model.
func (s *Scheduler) AllKept(hive string) map[string]Kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]Kept{}
	if h := s.hives[hive]; h != nil {
		for model, k := range h.kept {
			all[model] = k
		}
	}
	return all
}

// lives reports whether the hive has a worker of that id which has not failed.
func (h *hive) lives(id string) bool {
	w := h.workers[id]
	return w != nil && w.info.State != ops.WorkerFailed
}

// keeps reports whether a worker of the model that would do for r comes back on the
// hive as a person has started it.
func (h *hive) keeps(model string, r *Request) bool {
	if len(h.kept) == 0 || r.spawn { // who spawns one says how
		return false
	}
	k, ok := h.kept[model]
	return ok && !h.lives(k.Worker) && r.fits(k.Spawn.Engine, k.Spawn.Device)
}

// as is how the place's worker of the model was started, to be started so again.
func (p *Place) as(model string) *ops.WorkerSpawn {
	if !p.Kept {
		return nil
	}
	o := p.hive.kept[model].Spawn
	o.Flags, o.Hives = slices.Clone(o.Flags), slices.Clone(o.Hives)
	return &o
}
