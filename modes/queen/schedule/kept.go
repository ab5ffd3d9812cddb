package schedule

import (
	"slices"
	"time"

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

// doubtFor is how long it may take a hive to say of a worker that broke off whether it has
// ended, or loads its model again.
const doubtFor = time.Second

// Doubt notes that a worker has broken r off, or was not reached. It reports whether that is
// one which a person has started with settings of its own, and the first time: no other takes
// its place, so it is asked again once its hive has said how it is, or comes back as it was.
func (s *Scheduler) Doubt(r *Request, k Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hives[k.Hive]
	if h == nil || r.doubted[k] || !h.keepsWorker(k.Worker) {
		return false
	}
	if r.doubted == nil {
		r.doubted = map[Key]bool{}
	}
	r.doubted[k] = true
	if w := h.workers[k.Worker]; w != nil && able(&w.info) {
		w.doubted = time.Now()
		w.show()
		time.AfterFunc(doubtFor, func() { s.trust(w) })
	}
	return true
}

// trust ends the doubt about a worker of which its hive has said nothing else.
func (s *Scheduler) trust(w *worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() == nil && !w.gone() {
		w.show()
		s.dispatch(w.line)
	}
}

// isDoubted reports whether the worker has broken off, and its hive has not said yet how it is.
func (w *worker) isDoubted() bool { return !w.doubted.IsZero() && time.Since(w.doubted) < doubtFor }

// keepsWorker reports whether a person has started the worker with settings of its own.
func (h *hive) keepsWorker(id string) bool {
	for _, k := range h.kept {
		if k.Worker == id {
			return true
		}
	}
	return false
}

// stands reports whether the hive's worker that a person has started with settings of its
// own has failed r and goes on: one as usual is not started beside it.
func (h *hive) stands(model string, r *Request) bool {
	if len(h.kept) == 0 || len(r.Without) == 0 {
		return false
	}
	k, ok := h.kept[model]
	w := h.workers[k.Worker]
	return ok && r.Without[Key{h.id, k.Worker}] && h.lives(k.Worker) && !w.info.Broken() && r.fits(w.info.Engine, w.info.Device)
}

// keeps reports whether a worker of the model that would do for r comes back on the
// hive as a person has started it.
func (h *hive) keeps(model string, r *Request) bool {
	if len(h.kept) == 0 || r.spawn { // who spawns one says how
		return false
	}
	k, ok := h.kept[model]
	hangs := h.lives(k.Worker) && h.workers[k.Worker].info.State == ops.WorkerHung
	return ok && (hangs || !h.lives(k.Worker)) && r.fits(k.Spawn.Engine, k.Spawn.Device)
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
