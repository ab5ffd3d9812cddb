package schedule

import "slices"

// view is the fleet as r may use it. It is good until the lock is let go, or the
// next one is made.
func (s *Scheduler) view(l *line, r *Request) *View {
	l.forgiveSome()
	marked := s.warmth.mark(l, r.Prefixes)
	list := s.candidates[:0]
	for _, w := range marked {
		c := w.candidate()
		if r.bar(&c); c.Barred != Tried && c.Barred != Elsewhere {
			list = append(list, c)
		}
	}
	for _, g := range l.groups {
		if w := g.first(r); w != nil {
			list = append(list, w.candidate())
		}
	}
	list = l.lackingFor(r, list)
	for _, w := range marked {
		w.warm = 0
	}
	slices.SortFunc(list, func(a, b Candidate) int { return compareWorkers(a.worker, b.worker) })
	s.candidates = list
	liftBlame(list)
	v := &View{Workers: list, line: l}
	if !r.Running {
		v.places = func() []Place { return s.places(l, r) }
	}
	return v
}

// bar notes why a worker will not do for r in particular, and returns why it will
// not do, or 0.
func (r *Request) bar(c *Candidate) Reason {
	i := &c.worker.info
	switch {
	case c.Barred == Failed || c.Barred == Part:
	case r.Without[c.worker.key()]:
		c.Barred = Tried
	case r.Hive != "" && r.Hive != c.Hive() || !r.fits(i.Engine, i.Device):
		c.Barred = Elsewhere
	case c.Barred == 0 && c.worker.lacksFor(r):
		c.Barred = Failing
	}
	return c.Barred
}

// decide asks the policy, and notes what it says.
func (s *Scheduler) decide(r *Request, v *View) Choice {
	c := s.Policy.Choose(r, v)
	s.past.note(r, v, c)
	return c
}

// answers reports whether some worker can do r, or will when it is free.
func (l *line) answers(r *Request) bool {
	return slices.ContainsFunc(l.groups, func(g *group) bool { return (g.barred == 0 || g.barred == Failing) && g.first(r) != nil })
}

// usualSlots is how many requests a worker that is being started will run at
// once: what a hive gives it unless told otherwise.
const usualSlots = 4

// coming is how many slots are being made that r may use.
func (l *line) coming(r *Request) int {
	counted := map[*hive]bool{}
	for _, st := range l.starts {
		if r.mayBe(st.hive) && r.fits(st.plan.Engine, st.plan.Device) {
			counted[st.hive] = true
		}
	}
	for _, g := range l.groups {
		if (g.barred == Loading || g.barred == Doubted) && r.fits(g.engine, g.device) {
			for _, w := range g.workers {
				if r.mayBe(w.hive) && !r.Without[w.key()] && !w.late() {
					counted[w.hive] = true
				}
			}
		}
	}
	return usualSlots * len(counted)
}
