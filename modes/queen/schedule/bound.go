package schedule

import (
	"fmt"
	"math"
	"slices"
	"time"

	"rbee.dev/rbee/ops"
)

// Only so many requests may wait for a model. Beyond that, one that comes is
// refused, but for two cases: an interactive one goes before batch, and nobody shall
// fill the queue and so keep others out.

// bound is who has to make way for r, and for whom in words, where as many wait as
// may; an error where r is refused, and neither where there is room. Those that are
// tried again do not count.
func (s *Scheduler) bound(l *line, r *Request) (out *waiter, forWhom string, err error) {
	if r.Again || l.bounded < s.Depth {
		return nil, "", nil
	}
	own := 1
	if n := l.waits[r.Client]; n != nil {
		own += *n
	}
	out = l.makesWay(r.priority(), own)
	switch {
	case out == nil:
		err = l.full("")
		s.turnAway(l, r, ops.DecidedFull, "")
		s.past.fail(r, err)
	case out.priority() != r.priority():
		forWhom = "an interactive request"
	default:
		forWhom = fmt.Sprintf("a client with fewer requests waiting (%d, this one's has %d)", own, *out.mates)
	}
	return out, forWhom, err
}

// makesWay is who leaves a full queue for a request whose client would have own
// waiting then, or nil: for an interactive one a batch one, else one of the same kind
// whose client has more than that.
func (l *line) makesWay(p ops.Priority, own int) *waiter {
	if p == ops.Interactive {
		if w := l.most(ops.Batch, 0); w != nil {
			return w
		}
	}
	return l.most(p, own)
}

// most is, of those with that priority, one whose client has most waiting, if it is
// more than so many: the last in turn.
func (l *line) most(p ops.Priority, than int) (out *waiter) {
	for _, w := range slices.Backward(l.queue) {
		if !w.Again && w.priority() == p && *w.mates > than {
			out, than = w, *w.mates
		}
	}
	return out
}

// count counts w among those that wait, by 1, or by -1 not any more.
func (l *line) count(w *waiter, by int) {
	if w.Again {
		return
	}
	l.bounded += by
	if w.mates == nil {
		if w.mates = l.waits[w.Client]; w.mates == nil {
			w.mates = new(int)
		}
	}
	if *w.mates += by; *w.mates == 0 {
		delete(l.waits, w.Client)
		return
	}
	if l.waits == nil {
		l.waits = map[string]*int{}
	}
	l.waits[w.Client] = w.mates
}

// displace has w make way.
func (s *Scheduler) displace(w *waiter, forWhom string) {
	s.turnAway(w.line, &w.Request, ops.DecidedMadeWay, forWhom)
	w.err = w.line.full(forWhom)
	s.settle(w)
}

// turnAway remembers that r does not wait for l, as so many do.
func (s *Scheduler) turnAway(l *line, r *Request, how ops.Decided, forWhom string) {
	if r.Job != "" {
		s.past.turnAway(r, s.view(l, r), how, forWhom)
	}
}

// FullError says that as many requests wait for a model as may.
type FullError struct {
	// Model is the model, and Waiting how many requests wait for it.
	Model   string
	Waiting int
	// For is who came, and the request has waited itself until then; "" where it
	// did not.
	For string
	// RetryAfter is when it is worth another try, in whole seconds.
	RetryAfter time.Duration
}

// Error says it.
func (e *FullError) Error() string {
	text := fmt.Sprintf("%d requests wait for %s already", e.Waiting, e.Model)
	if e.Waiting == 1 {
		text = fmt.Sprintf("1 request waits for %s already", e.Model)
	}
	if e.For != "" {
		return "made way for " + e.For + ": " + text
	}
	return text
}

// full is the error of a request that as many wait before as may, or that made way
// for another.
func (l *line) full(forWhom string) error {
	slots := 0
	for _, g := range l.groups {
		if g.barred == 0 {
			slots += int(g.slots) * len(g.workers)
		}
	}
	n := l.bounded
	if forWhom != "" { // it is among them as yet
		n--
	}
	e := &FullError{Model: l.model, Waiting: n, For: forWhom, RetryAfter: l.pace.retryAfter(n, max(slots, 1))}
	return ops.Errorf(ops.CodeBusy, "%w", e).
		WithHint("try again in %.0f s; `rbee queen serve --queue-depth` says how many may wait", e.RetryAfter.Seconds())
}

// pace is how long a line's requests take.
type pace struct{ mean time.Duration }

// note notes how long one took; newer ones count for more.
func (p *pace) note(took time.Duration) {
	if p.mean == 0 {
		p.mean = took
	}
	p.mean += (took - p.mean) / 8
}

// retryAfter is when a place should be free in a queue of n before so many slots:
// after the time that a tenth of it takes, one second to a minute.
func (p *pace) retryAfter(n, slots int) time.Duration {
	seconds := math.Ceil(p.mean.Seconds() * float64(n) / float64(10*slots))
	return time.Duration(min(max(seconds, 1), 60)) * time.Second
}
