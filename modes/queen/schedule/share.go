package schedule

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A model that is always busy would keep its memory for ever, and others from ever
// getting a worker. So a worker has its memory for one share of time; once a
// request of a model that nobody answers has waited for room as long, the workers
// that hold it get no more requests, finish what they run, and go.

// fairShare is how long a share is.
const fairShare = 30 * time.Second

// claim is room that is being made on a hive.
type claim struct {
	line *line
	hive *hive
	by   []*worker // that make it: they get no more requests
}

// overdue reports whether others have to make room for w: nobody answers it, and
// some request of its model has waited a share.
func (l *line) overdue(w *waiter) bool {
	return l.claim == nil && time.Since(l.oldest) >= fairShare && !l.answers(&w.Request) && l.coming(&w.Request) == 0
}

// nudge dispatches w's line where time alone may have changed what is to be done.
func (s *Scheduler) nudge(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, now := w.line, time.Now()
	if now.Sub(l.nudged) < tellEvery || len(l.queue) == 0 {
		return
	}
	l.nudged, l.oldest = now, now
	for _, x := range l.queue {
		if x.came.Before(l.oldest) {
			l.oldest = x.came
		}
	}
	s.dispatch(l)
}

// withYields notes which of the places could be claimed for w.
func (l *line) withYields(w *waiter, places []Place) []Place {
	if !l.overdue(w) {
		return places
	}
	_, m := l.source()
	size := need(m)
	for i := range places {
		if p := &places[i]; p.Barred == Crowded {
			p.Yields = p.hive.yielding(size) != nil
		}
	}
	return places
}

// yielding are the workers that have to go for so many bytes, one at least: those that are idle
// before those that are busy, and those first that have had their memory for
// longest. It is nil where that is not enough.
func (h *hive) yielding(size int64) []*worker {
	free := h.memory - h.used
	var list []*worker
	for _, w := range h.workers {
		if w.yields() && (w.taken() == 0 || time.Since(w.since) >= fairShare) {
			list = append(list, w)
		}
	}
	slices.SortFunc(list, func(a, b *worker) int {
		return cmp.Or(cmp.Compare(min(a.taken(), 1), min(b.taken(), 1)), a.since.Compare(b.since), compareWorkers(a, b))
	})
	for i, w := range list {
		if free += need(h.models[w.info.Model]); free >= size {
			return list[:i+1]
		}
	}
	return nil
}

// yields reports whether the worker may have to make room: not one of a pinned or
// a divided model, nor one that reads its model.
func (w *worker) yields() bool {
	i := &w.info
	return able(i) && !w.fresh && i.PartOf == "" && len(i.Parts) == 0 && !w.hive.models[i.Model].Pinned
}

// claims has room made for the line on a hive.
func (l *line) claims(h *hive) {
	_, m := l.source()
	l.claim = &claim{line: l, hive: h, by: h.yielding(need(m))}
	h.claim = l.claim
	for _, w := range h.claim.by {
		w.show()
	}
}

// unclaim has it be as it was: the room is taken, or nobody wants it any more.
func (s *Scheduler) unclaim(c *claim) {
	if c == nil {
		return
	}
	c.line.claim, c.hive.claim = nil, nil
	for _, w := range c.by {
		if !w.gone() {
			w.show()
		}
	}
	for l := range maps.Clone(s.waiting) { // its own is being served
		if l != c.line {
			s.dispatch(l)
		}
	}
}

// busy reports whether those who make the room still finish what they run.
func (c *claim) busy() bool {
	return c != nil && slices.ContainsFunc(c.by, func(w *worker) bool { return !w.gone() && w.taken() > 0 })
}

// String says who makes the room.
func (c *claim) String() string {
	var models []string
	for _, w := range c.by {
		if w.taken() > 0 && !w.gone() && !slices.Contains(models, w.info.Model) {
			models = append(models, w.info.Model)
		}
	}
	if len(models) == 0 {
		return "room for it is being made on " + c.hive.id
	}
	return fmt.Sprintf("%s on %s finishes what it runs, and then makes room", strings.Join(models, " and "), c.hive.id)
}

// leaving reports whether the worker is making room.
func (w *worker) leaving() bool {
	return w.hive.claim != nil && slices.Contains(w.hive.claim.by, w)
}
