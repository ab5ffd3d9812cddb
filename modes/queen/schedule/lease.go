package schedule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rbee.dev/rbee/ops"
)

// Lease is a worker's slot, lent to a request. Who has it gives it back by
// Release.
type Lease struct {
	Worker ops.Worker // as it was known then

	s      *Scheduler
	worker *worker
	began  time.Time
	over   bool
}

// Key names the worker.
func (l *Lease) Key() Key { return KeyOf(l.Worker) }

// Release gives the slot back, for the next one in turn. Again it does nothing.
func (l *Lease) Release() {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.s.release(l)
}

func (s *Scheduler) release(lease *Lease) {
	if lease.over {
		return
	}
	lease.over = true
	w := lease.worker
	l := w.line
	w.given--
	l.pace.note(time.Since(lease.began))
	if w.gone() {
		s.tidy(l)
		return
	}
	w.show()
	if w.taken() == 0 {
		w.hive.shift(w, -1)
	}
	s.dispatch(l)
	if w.taken() == 0 { // others may have been waiting for its room
		s.dispatchAll()
	}
}

// lend lends the worker to a request.
func (s *Scheduler) lend(r *Request, w *worker) *Lease {
	now := time.Now()
	idle := w.taken() == 0
	w.given++
	w.peak.note(w.given, now)
	w.show()
	if idle {
		w.hive.shift(w, 1)
	}
	s.warmth.note(w, r.Prefixes)
	return &Lease{Worker: w.info, s: s, worker: w, began: now}
}

// tellEvery is how often a request that waits is told its place, where that has
// changed; it is told nothing in the first of them, so that one that waits for a
// moment only can still fail with a status.
const tellEvery = 500 * time.Millisecond

// tellAgain is after how long it is told again though nothing has changed: it
// keeps connections alive.
const tellAgain = 15 * time.Second

// errAsleep says that the hive of the queen's own machine has to run first.
var errAsleep = errors.New("the hive is asleep")

// Acquire lends a worker to r, as soon as one is free and it is r's turn; one is
// started where there are too few. What happens meanwhile is said to the job of
// ctx. When ctx ends first, the request leaves at once. A model that no hive has
// is not_found; too many that wait already is busy, with a [FullError].
func (s *Scheduler) Acquire(ctx context.Context, r Request) (*Lease, error) {
	lease, w, err := s.enter(&r, false)
	if errors.Is(err, errAsleep) {
		s.Fleet.Wake(ctx)
		lease, w, err = s.enter(&r, true)
	}
	if err == nil {
		r.tellAdded(ctx)
	}
	if w == nil {
		return lease, err
	}
	return s.wait(ctx, w)
}

// tellAdded says which model was taken for want of a name.
func (r *Request) tellAdded(ctx context.Context) {
	if r.added {
		ops.Narrate(ops.As(ctx, "queen"), "model_choose", "no model was named: taking %s, the one added last that can run", r.Model)
	}
}

// enter lends a worker to r, or has it wait.
func (s *Scheduler) enter(r *Request, woken bool) (*Lease, *waiter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drained && !r.Again {
		err := errDrained()
		s.past.fail(r, err)
		return nil, nil, err
	}
	for k := range r.Without {
		if h := s.hives[k.Hive]; h != nil && !h.up {
			r.pardon(h)
		}
	}
	l, err := s.find(r)
	if err == nil && len(l.queue) == 0 && !s.held {
		if w := s.free(l, r); w != nil {
			t := l.turns(r)
			t.serve(r.Client, t.deal(r.Client), true)
			return s.lend(r, w), nil, nil
		}
	}
	if own := s.hives[ops.LocalHive]; !woken && !r.Running && (own == nil || !own.up) && (err != nil || !l.isOn(r.Hive)) {
		return nil, nil, errAsleep
	}
	if err != nil {
		s.past.fail(r, err)
		return nil, nil, err
	}
	w, err := s.enqueue(l, r)
	if err == nil {
		s.dispatch(l)
	}
	return nil, w, err
}

func errDrained() error {
	return ops.Errorf(ops.CodeUnavailable, "the queen is drained and takes no new work").WithHint("`rbee queen resume` has it take work again")
}

// find is the line of the model that r wants.
func (s *Scheduler) find(r *Request) (*line, error) {
	if r.Model == "" {
		r.Model, r.added = s.usual(r.Hive)
	}
	if l := s.lines[r.Model]; l.there() || l.known() && (r.Again || r.Running) { // whose worker had failed it
		return l, nil
	}
	if err := s.nobody(r.Hive); err != nil {
		return nil, err
	}
	if r.Model == "" {
		return nil, ops.Errorf(ops.CodeNotFound, "there is no model on any hive").
			WithHint("`rbee model download` brings one; the built-in one comes back with `rbee hive stop` and then `rbee hive start`")
	}
	return nil, s.unknown(r.Model)
}

// nobody is the error for a request of any hive's, or of one, that none can answer
// for now; it is nil where there is one that can.
func (s *Scheduler) nobody(only string) error {
	for _, h := range s.order {
		if h.up && (only == "" || h.id == only) {
			return nil
		}
	}
	if h := s.hives[cmp.Or(only, ops.LocalHive)]; h != nil && h.why != "" {
		return ops.Errorf(ops.CodeUnavailable, "the hive %s is down: %s", h.id, h.why).WithHint("`rbee hive start%s` starts it", named(h.id))
	}
	if only != "" {
		return ops.Errorf(ops.CodeUnavailable, "the hive %s is not up", only).WithHint("`rbee hive status %s` says why, `rbee hive start %s` starts it", only, only)
	}
	return ops.Errorf(ops.CodeUnavailable, "no hive is up").WithHint("`rbee hive list` says why, `rbee hive start` starts one")
}

// named is the name of a hive for a command line; the one of the queen's own machine
// need not be given.
func named(id string) string {
	if id == ops.LocalHive {
		return ""
	}
	return " " + id
}

// usual is the model that is meant where none is named: the one added last, on
// that hive or on any, else the built-in one.
func (s *Scheduler) usual(only string) (model string, added bool) {
	var newest ops.Model
	builtIn := ""
	for _, h := range s.order {
		if only != "" && h.id != only || !h.up {
			continue
		}
		if h.newest.ID != "" && (newest.ID == "" || h.newest.AddedAt.After(newest.AddedAt)) {
			newest = h.newest
		}
		if builtIn == "" {
			builtIn = h.builtIn()
		}
	}
	if newest.ID != "" {
		return newest.ID, true
	}
	return builtIn, false
}

func (h *hive) builtIn() string {
	for id, m := range h.models {
		if m.Source == ops.BuiltInSource && m.Error == "" {
			return id
		}
	}
	return ""
}

// free is the worker that r gets at once, or nil.
func (s *Scheduler) free(l *line, r *Request) *worker {
	v := s.view(l, r)
	v.Held = true // places are looked at when it waits
	c := s.Policy.Choose(r, v)
	if c.Act != Use {
		return nil
	}
	s.past.note(r, v, c)
	return v.Workers[c.At].worker
}

// wait waits for w's turn.
func (s *Scheduler) wait(ctx context.Context, w *waiter) (*Lease, error) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	s.relay(ctx, w) // what was said before it came
	ops.Waits(ctx, true)
	for {
		select {
		case <-w.settled:
			s.relay(ctx, w)
			if w.lease != nil {
				ops.Waits(ctx, false)
			}
			return w.lease, w.err
		case <-w.news:
			s.relay(ctx, w)
		case <-tick.C:
			s.nudge(w)
			s.tellPlace(ctx, w)
			s.reconsider(w)
		case <-ctx.Done():
			s.leave(w, context.Cause(ctx))
			return nil, context.Cause(ctx)
		}
	}
}

// leave takes a request out that is not wanted any more, because of why.
func (s *Scheduler) leave(w *waiter, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-w.settled:
		if w.lease != nil {
			s.release(w.lease)
		}
	default:
		w.err = ops.Errorf(ops.CodeCancelled, "the client went away while it waited")
		if e, ok := errors.AsType[*ops.Error](why); ok { // its job was cancelled, or the queen ends it
			w.err = e
		}
		s.settle(w)
	}
}

// relay says what the starts have said since the last time.
func (s *Scheduler) relay(ctx context.Context, w *waiter) {
	s.mu.Lock()
	var events []ops.Event
	for i := range w.starts {
		st := &w.starts[i]
		events = append(events, st.said[st.upTo:]...)
		st.upTo = len(st.said)
	}
	s.mu.Unlock()
	for _, e := range events {
		ops.Emit(ctx, e)
		w.heardAt = time.Now()
	}
}

// tellPlace says where in the queue the request is, and what it waits for.
func (s *Scheduler) tellPlace(ctx context.Context, w *waiter) {
	s.mu.Lock()
	text := s.placeOf(w)
	if text == "" && time.Since(w.heardAt) >= tellAgain {
		text = w.line.loads(&w.Request)
	}
	s.mu.Unlock()
	if text == "" || text == w.told && time.Since(w.toldAt) < tellAgain {
		return
	}
	w.told, w.toldAt = text, time.Now()
	ops.Narrate(ops.As(ctx, "queen"), "queue_position", "%s", text)
}

// loads is which worker that reads its model r waits for, in words, or "".
func (l *line) loads(r *Request) string {
	for _, w := range l.workers {
		if w.group.barred != Loading || w.fresh && w.info.State != ops.WorkerLoading || !r.mayBe(w.hive) || !r.fits(w.info.Engine, w.info.Device) {
			continue
		}
		text := fmt.Sprintf("worker %s of %s is loading %s", w.info.ID, w.hive.id, l.model)
		if w.info.Error != "" {
			text += " again: " + w.info.Error
		}
		return text
	}
	return ""
}

// placeOf is w's place in its queue in words, and what of a divided model it waits
// for; "" where a worker that is coming will have a slot for it.
func (s *Scheduler) placeOf(w *waiter) string {
	l := w.line
	place := l.at(w) + 1
	if !slices.Contains(l.queue, w) {
		return ""
	}
	awaited := l.awaited(&w.Request)
	if place <= l.coming(&w.Request) {
		return awaited
	}
	text := fmt.Sprintf("place %d of %d in the queue for %s", place, len(l.queue), w.Model)
	switch {
	case awaited != "":
		text += ": " + awaited
	case l.claim != nil:
		text += ": " + l.claim.String()
	case w.away != "":
		text += fmt.Sprintf(": the hive %s does not answer at the moment", w.away)
	case w.behind != "":
		text += fmt.Sprintf(": the hive %s is drained, and no other can run it; `rbee hive resume %s` has it take work again", w.behind, w.behind)
	}
	return text
}
