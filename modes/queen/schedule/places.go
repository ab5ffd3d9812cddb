package schedule

import (
	"slices"
	"time"

	"rbee.dev/rbee/ops"
)

// site is what a line has had at a hive.
type site struct {
	running int       // workers of the line there that have not failed, and hold no part only
	coming  int       // starts under way there
	failed  time.Time // when a start failed there last; zero where none has lately
	refused time.Time // likewise, when the hive had no room since its workers were busy
}

// site is the line's site at a hive, made if need be.
func (l *line) site(h *hive) *site {
	for int(h.number) >= len(l.sites) {
		l.sites = append(l.sites, nil)
	}
	if l.sites[h.number] == nil {
		l.sites[h.number] = &site{}
	}
	return l.sites[h.number]
}

// had is the line's site at a hive, or nil.
func (l *line) had(h *hive) *site {
	if int(h.number) < len(l.sites) {
		return l.sites[h.number]
	}
	return nil
}

// places lists where another worker for r could be started: hives with the model
// on disk, and the others too where none of these will do.
func (s *Scheduler) places(l *line, r *Request) []Place {
	list := s.placed[:0]
	good := false
	from, m := l.source()
	size := need(m) // on every hive: it is the same model
	mends := l.mends(r)
	for _, h := range l.onDisk {
		list = append(list, Place{hive: h, OnDisk: true})
		p := &list[len(list)-1]
		l.judge(p, r, size, mends)
		good = good || p.Barred == 0
	}
	if !good && (!l.answers(r) || len(l.queue) >= usualSlots) { // fewer would not fill another worker: not worth the copy
		with := l.onDisk // those of them that are still to come: both are in the same order
		for _, h := range s.order {
			if len(with) > 0 && with[0] == h {
				with = with[1:]
				continue
			}
			list = append(list, Place{hive: h})
			p := &list[len(list)-1]
			l.judge(p, r, size, mends)
			if p.Barred == 0 && from == nil && !isURL(m.Source) {
				p.Barred = Missing
			}
		}
	}
	s.placed = list
	if most := l.largest(list, size, r.Hive != "" && from != nil); most != nil {
		most.Barred = 0
	}
	return list
}

// largest is the place with most memory where a model without workers is too large
// for each hive that could have it, or nil. That hive may find room that nobody
// knows of here, or else says in numbers what is missing and what would fit. It has
// the model, unless one without will do, which is asked before the model is brought there.
func (l *line) largest(list []Place, size int64, without bool) (most *Place) {
	if slices.ContainsFunc(l.workers, func(w *worker) bool { return w.info.State != ops.WorkerFailed }) {
		return nil
	}
	for i := range list {
		p := &list[i]
		small := p.hive.memory > 0 && p.hive.memory < size
		switch {
		case p.Barred == Elsewhere || p.Barred == Missing:
		case !small || p.Barred < waitable && p.Barred != 0:
			return nil // it may be for that one
		case p.Barred == TooLarge && (p.OnDisk || without) && (most == nil || p.hive.memory > most.hive.memory):
			most = p
		}
	}
	return most
}

// judge says how good a place p is for another worker for r, of that size; mends
// says that none is needed, since a divided model comes back.
func (l *line) judge(p *Place, r *Request, size int64, mends bool) {
	h := p.hive
	t := l.had(h)
	switch {
	case r.Hive != "" && r.Hive != h.id:
		p.Barred = Elsewhere
	case !h.up && l.misses(h, r):
		p.Barred = Away
	case !h.up:
		p.Barred = Down
	case h.drained:
		p.Barred = Drained
	case r.Refused[h.id]:
		p.Barred = Refused
	case h.claim != nil && h.claim.line != l:
		p.Barred = Promised
	case h.claim.busy():
		p.Barred = Clearing
	case t == nil:
		h.room(size, p)
	case t.coming > 0 && l.starting(h, r):
		p.Barred = Coming
	case t.running > 0 && l.runs(h, r):
		p.Barred = Running
	case h.stands(l.model, r):
		p.Barred = Tried
	case len(r.Without) > 1 && l.tried(h, r) > 1:
		p.Barred = Tried // a third worker would fare no better
	case !t.failed.IsZero() && l.cooling(t, r):
		p.Barred = Cooling
	case h.full(t):
		p.Barred = Crowded
	default:
		h.room(size, p)
		if p.Barred == Crowded && size <= h.memory-h.held-h.pinned+h.useless(l, r) {
			p.Barred = InTheWay
		}
	}
	if mends && p.Barred == 0 {
		p.Barred = Divided
	}
	if p.Kept = h.keeps(l.model, r); p.Kept && p.Barred == TooLarge {
		p.Barred = 0 // it has run there: its settings are not the usual ones, or it is divided
	}
}

// useless is how much memory workers of the hive's hold that have failed r and
// load again, which may go on for ever.
func (h *hive) useless(l *line, r *Request) (size int64) {
	for k := range r.Without {
		if w := h.workers[k.Worker]; k.Hive == h.id && w != nil && w.line == l && w.info.State == ops.WorkerLoading {
			size += need(h.models[w.info.Model])
		}
	}
	return size
}

// runs reports whether the hive has a worker which is or will be one for r. A
// second one would only share the machine with it.
func (l *line) runs(h *hive, r *Request) bool {
	if !r.narrow() {
		return true // some worker runs there, and any will do
	}
	for _, w := range h.workers {
		if w.line != l {
			continue
		}
		c := w.candidate()
		switch r.bar(&c) {
		case Failed, Part, Tried, Elsewhere:
		default:
			return true
		}
	}
	return false
}

// tried is how many of the hive's workers have failed r, and are there still.
func (l *line) tried(h *hive, r *Request) (n int) {
	for k := range r.Without {
		if w := h.workers[k.Worker]; k.Hive == h.id && w != nil && w.line == l && w.info.State != ops.WorkerFailed {
			n++
		}
	}
	return n
}

// starting reports whether a worker for r is being started on the hive.
func (l *line) starting(h *hive, r *Request) bool {
	return slices.ContainsFunc(l.starts, func(st *start) bool { return st.hive == h && r.fits(st.plan.Engine, st.plan.Device) })
}

// source is a hive that is up and has the model, and how the model is described.
func (l *line) source() (from *hive, m ops.Model) {
	for _, h := range l.onDisk {
		m = h.models[l.model]
		if h.up {
			return h, m
		}
	}
	return nil, m
}

// isURL reports whether a model's source is one that another hive can get it from
// by itself: where that takes a password or token, it cannot.
func isURL(source string) bool {
	for _, scheme := range []string{"hf:", "http://", "https://"} {
		if len(source) > len(scheme) && source[:len(scheme)] == scheme {
			return !ops.IsRedacted(source)
		}
	}
	return false
}

// coolFor is how long a hive is left alone where a worker could not be started,
// while there are others.
const coolFor = 10 * time.Second

// cooling reports whether a start at the site failed a moment ago while others
// answer r: to try again for every request that waits would never end.
func (l *line) cooling(t *site, r *Request) bool {
	if time.Since(t.failed) > coolFor {
		t.failed = time.Time{}
		return false
	}
	return l.answers(r)
}
