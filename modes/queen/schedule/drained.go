package schedule

import (
	"slices"

	"rbee.dev/rbee/ops"
)

// A hive that is drained gets no new requests. What waited before is no new one:
// it may still use the workers that are there, or are being started. No further
// one is started there for it, but neither is it sent away.

// stays reports whether the hive's drain does not concern w.
func (h *hive) stays(w *waiter) bool { return h.drained && h.up && w.arrival <= h.drainedAt }

// left is a worker of a hive that was drained after w came, or nil: the one with
// the most free slots.
func (s *Scheduler) left(l *line, w *waiter) *worker {
	if w.arrival > s.drainedAt {
		return nil
	}
	var best *worker
	for _, h := range s.order {
		if !h.stays(w) {
			continue
		}
		for _, x := range h.workers {
			if !x.serves(l, w) || x.info.State == ops.WorkerLoading || x.fresh || x.free() < 1 {
				continue
			}
			if best == nil || x.free() > best.free() || x.free() == best.free() && compareWorkers(x, best) < 0 {
				best = x
			}
		}
	}
	return best
}

// remains reports whether some worker of a hive that was drained after w came
// does w's request, or will.
func (s *Scheduler) remains(l *line, w *waiter) bool {
	return w.arrival <= s.drainedAt && slices.ContainsFunc(s.order, func(h *hive) bool {
		return h.stays(w) && h.does(l, w)
	})
}

// WaitingOn is how many of the requests that wait may still be done by workers of a
// hive, drained or not: those that are there, or are being started.
func (s *Scheduler) WaitingOn(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, n := s.hives[id], 0
	for l := range s.waiting {
		for _, w := range l.queue {
			if h != nil && h.up && (!h.drained || h.stays(w)) && h.does(l, w) {
				n++
			}
		}
	}
	return n
}

// RunningOn is how many requests the workers of a hive do, with "" those of all that are
// up. Of its own it knows when one is over, which hives tell a moment later.
func (s *Scheduler) RunningOn(id string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.order {
		if !h.up || id != "" && h.id != id {
			continue
		}
		for _, w := range h.workers {
			n += w.taken()
		}
	}
	return n
}

// does reports whether some worker of the hive does w's request, or will.
func (h *hive) does(l *line, w *waiter) bool {
	for _, x := range h.workers {
		if x.serves(l, w) {
			return true
		}
	}
	return w.failed[h] == nil && l.starting(h, &w.Request)
}

// resumes reports whether w, which came before p's hive was drained, could get a
// worker there once the hive takes work again: it waits for that, or for another
// hive, unless it names this one.
func (l *line) resumes(w *waiter, p *Place) bool {
	h := p.hive
	if p.Barred != Drained || !h.stays(w) || w.Hive != "" || w.failed[h] != nil {
		return false
	}
	from, m := l.source()
	if !p.OnDisk && from == nil && !isURL(m.Source) {
		return false
	}
	later := Place{hive: h}
	h.room(need(m), &later)
	return later.Barred <= waitable
}

// serves reports whether the worker is one for a request that waits for l,
// leaving aside whether it can now.
func (w *worker) serves(l *line, who *waiter) bool {
	if w.line != l || w.info.State == ops.WorkerFailed || w.info.PartOf != "" {
		return false
	}
	c := w.candidate()
	reason := who.bar(&c)
	return reason != Tried && reason != Elsewhere
}

// free is how many of its slots are.
func (w *worker) free() int { return max(w.info.Slots, 1) - w.taken() }

// lendLeft lends the worker to w, and notes that.
func (s *Scheduler) lendLeft(w *waiter, x *worker) *Lease {
	c := x.candidate()
	c.Barred = 0
	s.past.note(&w.Request, &View{Workers: []Candidate{c}}, Choice{Act: Use})
	return s.lend(&w.Request, x)
}
