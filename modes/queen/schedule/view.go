package schedule

import (
	"slices"
	"time"

	"rbee.dev/rbee/ops"
)

// view is the fleet as r may use it. It is good until the lock is let go.
func (s *Scheduler) view(l *line, r *Request) *View {
	v := &View{Workers: l.workers, places: func() []Place { return s.places(l, r) }}
	if r.narrow() {
		v.Workers = slices.Clone(l.workers)
		for i := range v.Workers {
			r.bar(&v.Workers[i])
		}
	}
	return v
}

// bar notes why a worker will not do for r in particular.
func (r *Request) bar(c *Candidate) {
	i := &c.worker.info
	switch {
	case c.Barred == Failed || c.Barred == Part:
	case r.Without[Key{c.Hive(), c.ID()}]:
		c.Barred = Tried
	case r.Hive != "" && r.Hive != c.Hive() || !r.fits(i.Engine, i.Device):
		c.Barred = Elsewhere
	}
}

// decide asks the policy, and sees that the workers' warmth for r counts.
func (s *Scheduler) decide(l *line, r *Request, v *View) Choice {
	marked := s.warmth.mark(l, r.Prefixes)
	if len(marked) > 0 && r.narrow() {
		for i := range v.Workers {
			v.Workers[i].Warm = l.workers[i].Warm
		}
	}
	c := s.Policy.Choose(r, v)
	s.past.note(r, v, c) // before the marks are gone
	for _, w := range marked {
		l.workers[w.at].Warm = 0
	}
	return c
}

// places lists where another worker for r could be started: hives with the model
// on disk, and the others too where none of these will do.
func (s *Scheduler) places(l *line, r *Request) []Place {
	list := make([]Place, 0, len(l.onDisk))
	good := false
	s.markRunning(l, r)
	from, m := l.source()
	size := need(m) // on every hive: it is the same model
	for _, h := range l.onDisk {
		p := s.place(l, r, h, size)
		p.OnDisk = true
		good = good || p.Barred == 0
		list = append(list, p)
	}
	if good || l.answers(r) && len(l.queue) < usualSlots { // fewer would not fill another worker: not worth the copy
		return list
	}
	for _, h := range s.order {
		if slices.Contains(l.onDisk, h) {
			continue
		}
		p := s.place(l, r, h, size)
		if p.Barred == 0 && from == nil && !isURL(m.Source) {
			p.Barred = Missing
		}
		list = append(list, p)
	}
	return list
}

// place is a hive as somewhere to start a worker for r.
func (s *Scheduler) place(l *line, r *Request, h *hive, size int64) Place {
	p := Place{Hive: h.id, hive: h}
	switch {
	case r.Hive != "" && r.Hive != h.id:
		p.Barred = Elsewhere
	case !h.up:
		p.Barred = Down
	case h.drained:
		p.Barred = Drained
	case l.starting(h, r):
		p.Barred = Coming
	case h.runs == s.marked:
		p.Barred = Running
	case l.cooling(h, r):
		p.Barred = Cooling
	default:
		h.room(size, &p)
	}
	return p
}

// answers reports whether some worker can do r, or will when it is free.
func (l *line) answers(r *Request) bool {
	return slices.ContainsFunc(l.workers, func(c Candidate) bool {
		r.bar(&c)
		return c.Barred == 0
	})
}

// markRunning marks the hives that have a worker which is or will be one for r. A
// second one would only share the machine with it.
func (s *Scheduler) markRunning(l *line, r *Request) {
	s.marked++
	for i := range l.workers {
		c := l.workers[i]
		if r.bar(&c); c.Barred != Failed && c.Barred != Part && c.Barred != Tried && c.Barred != Elsewhere {
			c.worker.hive.runs = s.marked
		}
	}
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
// by itself.
func isURL(source string) bool {
	for _, scheme := range []string{"hf:", "http://", "https://"} {
		if len(source) > len(scheme) && source[:len(scheme)] == scheme {
			return true
		}
	}
	return false
}

// usualSlots is how many requests a worker that is being started will run at
// once: what a hive gives it unless told otherwise.
const usualSlots = 4

// coming is how many slots are being made.
func (l *line) coming(r *Request) int {
	n, counted := 0, map[*hive]bool{}
	for _, st := range l.starts {
		if !counted[st.hive] && r.fits(st.plan.Engine, st.plan.Device) {
			counted[st.hive] = true
			n += usualSlots
		}
	}
	for i := range l.workers {
		c := &l.workers[i]
		if c.Barred == Loading && !counted[c.worker.hive] && r.fits(c.worker.info.Engine, c.worker.info.Device) {
			counted[c.worker.hive] = true
			n += usualSlots
		}
	}
	return n
}

// coolFor is how long a hive is left alone where a worker could not be started,
// while there are others.
const coolFor = 10 * time.Second

// cooling reports whether a start on the hive failed a moment ago while others
// answer r: to try again for every request that waits would never end.
func (l *line) cooling(h *hive, r *Request) bool {
	f, ok := l.failed[h]
	if !ok {
		return false
	}
	if time.Since(f) > coolFor {
		delete(l.failed, h)
		return false
	}
	return l.answers(r)
}
