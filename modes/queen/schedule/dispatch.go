package schedule

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// dispatchAll is dispatch for every model that requests wait for.
func (s *Scheduler) dispatchAll() {
	for l := range maps.Clone(s.waiting) {
		s.dispatch(l)
	}
}

// dispatch gives those that wait what there is, each in its turn, and has workers
// started for them. The caller holds the lock, and calls it after each change.
func (s *Scheduler) dispatch(l *line) {
	for len(l.queue) > 0 && !s.held && s.serveNext(l) {
		continue
	}
}

// serveNext settles one of those that wait, and reports whether it did. Where one
// cannot be, only those that want something else than it are asked after it.
func (s *Scheduler) serveNext(l *line) bool {
	stuck := false
	for _, w := range l.queue {
		plain := !w.narrow() && len(l.lacking) == 0 && len(w.failed) == 0 && w.arrival > s.drainedAt
		if stuck && plain {
			continue
		}
		if s.serve(l, w) {
			return true
		}
		stuck = stuck || plain
	}
	return false
}

// serve lends w a worker, or has one started for it, and reports whether its
// waiting is over.
func (s *Scheduler) serve(l *line, w *waiter) bool {
	for {
		v := s.view(l, &w.Request)
		v.Held = l.coming(&w.Request) >= len(l.queue)
		if places := v.places; places != nil && (len(w.failed) > 0 || l.overdue(w)) {
			v.places = func() []Place { return l.withYields(w, w.withoutFailed(places())) }
		}
		switch c := s.decide(&w.Request, v); c.Act {
		case Use:
			w.lease = s.lend(&w.Request, v.Workers[c.At].worker)
		case Start:
			s.begin(l, w, v.Places()[c.At])
			continue
		case Claim:
			l.claims(v.Places()[c.At].hive)
			continue
		case Wait:
			if x := s.left(l, w); x != nil {
				w.lease = s.lendLeft(w, x)
			} else if s.remains(l, w) {
				return false
			} else if w.err = s.hopeless(l, w, v); w.err == nil {
				return false
			}
		}
		s.settle(w)
		return true
	}
}

// withoutFailed bars the hives where a worker could not be started for w.
func (w *waiter) withoutFailed(places []Place) []Place {
	for i := range places {
		if p := &places[i]; p.Barred == 0 && w.failed[p.hive] != nil {
			p.Barred = Cooling
		}
	}
	return places
}

// hopeless is why w need not wait, or nil. It notes whose resuming w waits for.
func (s *Scheduler) hopeless(l *line, w *waiter, v *View) error {
	w.behind, w.away = "", ""
	if v.Held {
		return nil
	}
	var failed error
	if w.Running {
		failed = ops.Errorf(ops.CodeUnavailable, "each worker of %s that may do it has failed it", l.model)
	}
	for i := range v.Workers {
		c := &v.Workers[i]
		if c.Barred == Broken || c.Barred == Hung {
			failed = c.worker.errBroken()
		}
		if c.Barred > waitable {
			continue
		}
		if !c.worker.stuck() {
			return nil
		}
		failed = c.worker.errStuck()
	}
	var why []string
	remedy := ""
	for _, p := range v.Places() {
		if p.Barred <= waitable {
			return nil
		}
		if w.outlasts(&p) {
			w.away = p.Hive()
			return nil
		}
		if l.resumes(w, &p) {
			w.behind = p.Hive()
			return nil
		}
		if err := w.failed[p.hive]; err != nil {
			failed = err
		} else if p.Barred != Elsewhere {
			text, fix := p.lost()
			why, remedy = append(why, text), fix
		}
	}
	if failed != nil {
		return failed
	}
	if len(why) == 0 {
		return s.unusable(l.model)
	}
	e := ops.Errorf(ops.CodeUnavailable, "no hive can run %s now (%s)", l.model, strings.Join(why, "; "))
	if remedy != "" && len(why) == 1 {
		return e.WithHint("%s", remedy)
	}
	if w.Job != "" {
		return e.WithHint("`rbee explain %s` tells more, `rbee hive list` shows the hives", w.Job)
	}
	return e.WithHint("`rbee hive list` shows the hives")
}

// unusable is the error for a model that runs somewhere, and of which no hive has a
// file to start another worker from.
func (s *Scheduler) unusable(model string) error {
	for _, h := range s.order {
		if m, ok := h.models[model]; ok && m.Error != "" {
			e := ops.Errorf(ops.CodeUnavailable, "%s cannot be used on %s: %s", model, h.id, m.Error)
			return e.WithHint("%s", cmp.Or(m.Hint, "`rbee model list` shows the models; what runs already goes on"))
		}
	}
	return ops.Errorf(ops.CodeUnavailable, "no hive has a file of %s to start a worker from", model).
		WithHint("`rbee model list` shows the models; what runs already goes on")
}

// outlasts reports whether w waits though the place's hive is down, since it may be back
// in a moment, as one is whose process died, or has yet to be reached by a queen who has
// just started. Where it was up when w came, or a worker there had w before, w waits for
// longer.
func (w *waiter) outlasts(p *Place) bool {
	away := time.Since(p.hive.lost)
	switch {
	case p.Barred != Down || p.hive.hangs:
		return false
	case w.Again || !p.hive.lost.Before(w.came):
		return away < backWithin
	}
	return away < missedFor && !p.hive.drained
}

// lost is why the place is out of the question, and what would change that, or "".
func (p *Place) lost() (why, remedy string) {
	why = fmt.Sprintf("%s: %s", p.Hive(), p.Barred)
	switch p.Barred {
	case Down:
		if p.hive.why != "" {
			why = fmt.Sprintf("%s is down: %s", p.Hive(), p.hive.why)
		}
		remedy = fmt.Sprintf("`rbee hive start%s` starts it", named(p.Hive()))
	case Drained:
		remedy = fmt.Sprintf("`rbee hive resume %s` has it take work again", p.Hive())
	case Pinned:
		pins := p.hive.pins()
		why += ": " + strings.Join(pins, ", ")
		remedy = fmt.Sprintf("`rbee model unpin %s --hive %s` lets it be unloaded again", pins[0], p.Hive())
		if len(pins) > 1 {
			remedy += ", and so for the others"
		}
	}
	return why, remedy
}

// start is a worker that is being started. It is the [ops.Sink] of that work, so
// that all who wait for it hear what happens.
type start struct {
	s    *Scheduler
	line *line
	hive *hive
	plan Plan
	said []ops.Event
}

var _ ops.Sink = (*start)(nil)

// join has w hear what the start says.
func (w *waiter) join(st *start) {
	w.starts = append(w.starts, heard{start: st})
}

// begin starts a worker for w, and for all that wait with it.
func (s *Scheduler) begin(l *line, w *waiter, p Place) {
	plan := l.plan(p)
	plan.Engine, plan.Device, plan.As = w.Engine, w.Device, p.as(l.model)
	if plan.As != nil {
		plan.Engine, plan.Device = plan.As.Engine, plan.As.Device
	}
	st := &start{s: s, line: l, hive: p.hive, plan: plan}
	l.starts = append(l.starts, st)
	l.site(st.hive).coming++
	for _, x := range l.queue {
		x.join(st)
	}
	s.work.Go(func() {
		i, err := s.Fleet.Start(ops.WithSink(s.life, st), plan)
		s.started(st, i, err)
	})
}

// plan is a start of a worker at a place.
func (l *line) plan(p Place) Plan {
	plan := Plan{Hive: p.Hive(), Model: l.model}
	if !p.OnDisk {
		from, m := l.source()
		plan.Get, plan.Source = true, m.Source
		if from != nil {
			plan.From = from.id
		}
	}
	return plan
}

// started takes a start's end in. It goes on though nobody may wait any more: the
// next request will want the worker.
func (s *Scheduler) started(st *start, i ops.Worker, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := st.line
	for at, x := range l.starts {
		if x == st {
			l.starts = append(l.starts[:at:at], l.starts[at+1:]...)
			break
		}
	}
	l.site(st.hive).coming--
	if l.claim != nil && l.claim.hive == st.hive {
		defer s.unclaim(l.claim)
	}
	crowded := ops.CodeOf(err) == ops.CodeBusy
	if crowded { // those who wait go on waiting, for the room
		l.site(st.hive).refused = time.Now()
	} else if err != nil {
		l.site(st.hive).failed = time.Now()
	} else if s.hives[st.hive.id] == st.hive && st.hive.up {
		s.put(st.hive, i)
		st.hive.weigh()
	}
	for _, w := range st.hive.workers {
		w.fresh = false
		w.show()
	}
	notes := st.unloaded()
	for _, w := range l.queue {
		s.past.came(w.Job, Start, err, notes)
		switch {
		case crowded:
		case err != nil:
			w.fail(st, err)
		case !w.fits(i.Engine, i.Device): // to start it again would not change that
			w.fail(st, ops.Errorf(ops.CodeUnavailable, "the hive %s runs %s on %s, %s", i.HiveID, l.model, i.Engine, i.Device))
		}
	}
	s.dispatch(l)
	s.tidy(l)
}

// unloaded is what the hive has told of making room.
func (st *start) unloaded() (told []string) {
	for _, e := range st.said {
		if n, ok := e.(ops.NarrationEvent); ok && n.Action == "worker_unload" {
			told = append(told, n.Human)
		}
	}
	return told
}

// fail notes that a start which w waited for has failed.
func (w *waiter) fail(st *start, err error) {
	for i := range w.starts {
		if w.starts[i].start == st {
			if w.failed == nil {
				w.failed = map[*hive]error{}
			}
			w.failed[st.hive] = err
		}
	}
}

// Emit takes what the work says.
func (st *start) Emit(e ops.Event) {
	switch e.(type) {
	case ops.NarrationEvent, ops.ProgressEvent:
	default:
		return
	}
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	st.said = append(st.said, e)
	for _, w := range st.line.queue {
		select {
		case w.news <- struct{}{}:
		default: // it has not heard the last yet
		}
	}
}

// Mark takes what another daemon's job says.
func (st *start) Mark(e ops.Event, _ ops.Cursor) {
	if e != nil {
		st.Emit(e)
	}
}

// Cursor is of jobs that survive a restart, which a start is not.
func (*start) Cursor() ops.Cursor { return ops.Cursor{} }

// JobID is empty: a start is no job.
func (*start) JobID() string { return "" }

// Settle says where to start a worker that somebody wants beside those that there
// are.
func (s *Scheduler) Settle(ctx context.Context, r Request) (Plan, error) {
	if own := s.isUp(ops.LocalHive); !own {
		s.Fleet.Wake(ctx)
	}
	plan, err := s.chosen(&r)
	if err == nil {
		r.tellAdded(ctx)
	}
	return plan, err
}

func (s *Scheduler) chosen(r *Request) (Plan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.spawn = true
	if s.drained {
		err := errDrained()
		s.past.fail(r, err)
		return Plan{}, err
	}
	l, err := s.find(r)
	if err != nil {
		s.past.fail(r, err)
		return Plan{}, err
	}
	v := &View{places: func() []Place { return unless(s.places(l, r), Running, Coming, Cooling, Crowded, Divided) }}
	c := s.decide(r, v)
	if c.Act != Start {
		err := s.hopeless(l, &waiter{Request: *r, line: l, arrival: s.arrived + 1, came: time.Now()}, v)
		if err == nil { // a request would wait
			err = ops.Errorf(ops.CodeUnavailable, "no hive can take a worker of %s at the moment", l.model).WithHint("ask again in a moment; `rbee hive list` shows the hives")
		}
		s.past.fail(r, err)
		return Plan{}, err
	}
	return l.plan(v.Places()[c.At]), nil
}

// unless lifts bars that a person may ignore: the hive itself makes room, or says
// that it will be slow.
func unless(places []Place, reasons ...Reason) []Place {
	for i := range places {
		for _, r := range reasons {
			if places[i].Barred == r {
				places[i].Barred, places[i].Evicts = 0, true
			}
		}
	}
	return places
}

func (s *Scheduler) isUp(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hives[id]
	return h != nil && h.up
}
