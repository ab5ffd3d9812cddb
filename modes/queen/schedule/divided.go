package schedule

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"rbee.dev/rbee/ops"
)

// A model is divided over several machines because one has not got the room, or
// somebody wants it so. While its worker loads, as it does again after it has lost
// a part, or its hive does not answer for a moment, no other worker of the model
// is started elsewhere: who wants it waits.

const (
	// mendWithin is how long a divided model that loads is waited for, while others
	// could be started.
	mendWithin = 10 * time.Minute
	// stuckAfter is how long it is waited for where a part of it cannot be reached.
	stuckAfter = 40 * time.Second
	// backWithin is how long a hive may be away that has a divided model, or that
	// somebody waits for.
	backWithin = time.Minute
	// missedFor is how long a hive may have been away for which a request waits that
	// comes then, as a job does that names it.
	missedFor = 15 * time.Second
)

// absent is a worker of a divided model whose hive does not answer.
type absent struct {
	info  ops.Worker
	since time.Time
}

// miss notes the workers of divided models that are absent with their hive.
func (s *Scheduler) miss(h *hive, workers []ops.Worker) {
	for _, i := range workers {
		if len(i.Parts) == 0 || i.State == ops.WorkerFailed {
			continue
		}
		l := s.lineOf(i.Model)
		if l.absent == nil {
			l.absent = map[*hive]absent{}
		}
		l.absent[h] = absent{info: i, since: time.Now()}
	}
}

// found notes that a hive says itself what it has, or is gone for good.
func (s *Scheduler) found(h *hive) {
	for _, l := range s.lines {
		delete(l.absent, h)
	}
}

// misses reports whether r waits for the hive to come back with a worker.
func (l *line) misses(h *hive, r *Request) bool {
	a, ok := l.absent[h]
	return ok && time.Since(a.since) < backWithin && r.mayBe(h) && r.fits(a.info.Engine, a.info.Device)
}

// mended is the worker of a divided model that r waits for, or nil.
func (l *line) mended(r *Request) *worker {
	for _, g := range l.groups {
		if g.barred != Loading || !r.fits(g.engine, g.device) {
			continue
		}
		for _, w := range g.workers {
			if len(w.info.Parts) > 0 && r.mayBe(w.hive) && !r.Without[w.key()] && !w.late() {
				return w
			}
		}
	}
	return nil
}

// late reports whether a divided model loads for longer than it is waited for.
func (w *worker) late() bool {
	return w.stuck() || len(w.info.Parts) > 0 && time.Since(w.loading) >= mendWithin
}

// hivesOf are the hives of those names, as far as they are known.
func (s *Scheduler) hivesOf(names []string) (list []*hive) {
	for _, name := range names {
		if h := s.hives[name]; h != nil {
			list = append(list, h)
		}
	}
	return list
}

// lacks is the hive without whose part the worker can do nothing, and which does not
// come back by itself, or nil.
func (w *worker) lacks() *hive {
	for _, h := range w.parts {
		if !h.up && h.hangs {
			return h
		}
	}
	return nil
}

// showDivided has the lines see the workers anew of which the hive holds a part.
func (s *Scheduler) showDivided(h *hive) {
	for _, x := range s.order {
		for _, w := range x.workers {
			if slices.Contains(w.parts, h) {
				w.show()
			}
		}
	}
}

// stuck reports whether a divided model cannot be loaded again, for some time now, or
// until somebody starts a hive.
func (w *worker) stuck() bool {
	i := &w.info
	return w.lacks() != nil || len(i.Parts) > 0 && i.State == ops.WorkerLoading && i.Error != "" && time.Since(w.loading) >= stuckAfter
}

// errStuck is why a request need not wait for such a worker.
func (w *worker) errStuck() error {
	if h := w.lacks(); h != nil {
		return ops.Errorf(ops.CodeUnavailable, "worker %s of %s cannot do without the hive %s, which has a part of %s and is down: %s", w.info.ID, w.hive.id, h.id, w.line.model, cmp.Or(h.why, Down.String())).
			WithHint("`rbee hive start%s` starts it", named(h.id))
	}
	return ops.Errorf(ops.CodeUnavailable, "worker %s of %s cannot load %s, which is divided: %s", w.info.ID, w.hive.id, w.line.model, w.info.Error).
		WithHint("it loads it once it can; `rbee hive list` shows the hives")
}

// Lacking is why nobody need ask a worker for anything: a hive without which it can do
// nothing, and which does not come back by itself. It is nil where there is none.
func (s *Scheduler) Lacking(k Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hives[k.Hive]
	if h == nil || h.workers[k.Worker] == nil || h.workers[k.Worker].lacks() == nil {
		return nil
	}
	return h.workers[k.Worker].errStuck()
}

// mends reports whether a divided model comes back by itself, so that r needs no
// other worker.
func (l *line) mends(r *Request) bool {
	for h := range l.absent {
		if l.misses(h, r) {
			return true
		}
	}
	return l.mended(r) != nil
}

// awaited is what r waits for of a divided model, in words, or "".
func (l *line) awaited(r *Request) string {
	for h := range l.absent {
		if l.misses(h, r) {
			return fmt.Sprintf("the hive %s, which has %s divided with others, does not answer at the moment", h.id, l.model)
		}
	}
	w := l.mended(r)
	if w == nil {
		return ""
	}
	text := fmt.Sprintf("worker %s of %s loads %s, which is divided", w.info.ID, w.hive.id, l.model)
	if w.info.Error != "" {
		text += ": " + w.info.Error
	}
	return text
}

// reconsider looks again at what can be done for those that wait for a divided
// model: in time they may have another worker. The first of them does so for all.
func (s *Scheduler) reconsider(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := w.line
	if len(l.queue) == 0 || l.queue[0] != w {
		return
	}
	if divided := func(x *worker) bool { return len(x.info.Parts) > 0 }; len(l.absent) > 0 || slices.ContainsFunc(l.workers, divided) {
		s.dispatch(l)
	}
}
