package schedule

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"rbee.dev/rbee/ops"
)

// waiter is a request that waits.
type waiter struct {
	Request
	line    *line
	arrival uint64
	came    time.Time
	round   int // see [turns]

	settled chan struct{} // closed when lease or err is there
	lease   *Lease
	err     error

	news    chan struct{}   // holds a token when a start has said something
	starts  []heard         // those that it waits for
	failed  map[*hive]error // starts that have failed since it came
	behind  string          // a hive that has to take work again first, or ""
	away    string          // a hive that has to be back first, or ""
	told    string          // what was told last of its place in the queue
	toldAt  time.Time
	heardAt time.Time // when a start has said something last
}

// heard is a start, and how much of it was passed on.
type heard struct {
	*start
	upTo int
}

// turns deals turns out to clients: each gets its next one in a round of its own
// that is no earlier than the one that the line has come to, and no earlier than
// behind its last. Rounds are served in their order, so that nobody has two turns
// while another waits for one.
type turns struct {
	now  int            // the round that is served
	next map[string]int // by client; one who is not there has had no turn lately
}

// maxClients is how many clients' turns are remembered before those that are
// past are dropped.
const maxClients = 1024

// deal gives the client its next turn.
func (t *turns) deal(client string) (round int) {
	if len(t.next) >= maxClients {
		maps.DeleteFunc(t.next, func(_ string, next int) bool { return next <= t.now })
	}
	if t.next == nil {
		t.next = map[string]int{}
	}
	round = max(t.now, t.next[client])
	t.next[client] = round + 1
	return round
}

// serve notes that a turn was had, or with false that nobody wants it any more.
func (t *turns) serve(client string, round int, had bool) {
	if had {
		t.now = max(t.now, round)
	} else if n := t.next[client]; n > 0 {
		t.next[client] = n - 1
	}
}

// turns are those of the request's priority.
func (l *line) turns(r *Request) *turns {
	if r.priority() == ops.Batch {
		return &l.dealt[1]
	}
	return &l.dealt[0]
}

// before reports whether w gets its turn before x: interactive requests before
// batch, then by round, then who came first.
func (w *waiter) before(x *waiter) bool {
	a, b := w.priority() == ops.Batch, x.priority() == ops.Batch
	switch {
	case a != b:
		return b
	case w.round != x.round:
		return w.round < x.round
	}
	return w.arrival < x.arrival
}

// at is where in the queue w is, or belongs.
func (l *line) at(w *waiter) int {
	at, _ := slices.BinarySearchFunc(l.queue, w, func(x, w *waiter) int {
		switch {
		case x == w:
			return 0
		case x.before(w):
			return -1
		}
		return 1
	})
	return at
}

// enqueue has a request wait. Where too many wait, the last in turn is refused,
// which need not be this one.
func (s *Scheduler) enqueue(l *line, r *Request) *waiter {
	s.arrived++
	w := &waiter{
		Request: *r, line: l, arrival: s.arrived, came: time.Now(), round: l.turns(r).deal(r.Client),
		settled: make(chan struct{}), news: make(chan struct{}, 1),
	}
	if len(l.queue) == 0 {
		l.oldest = w.came
	}
	for _, st := range l.starts {
		w.join(st)
	}
	at := l.at(w)
	l.queue = slices.Insert(l.queue, at, w)
	s.past.begin(r, at+1, len(l.queue))
	s.waiting[l] = true
	if last := l.beyond(s.Depth); last != nil {
		last.err = l.full(len(l.queue) - 1)
		s.settle(last)
	}
	return w
}

// beyond is the last in turn where more than depth wait, or nil. Those that are
// tried again do not count.
func (l *line) beyond(depth int) (last *waiter) {
	if len(l.queue) <= depth {
		return nil
	}
	for _, w := range l.queue {
		if !w.Again {
			last = w
			depth--
		}
	}
	if depth >= 0 {
		return nil
	}
	return last
}

// settle ends a request's waiting; its lease or err says how.
func (s *Scheduler) settle(w *waiter) {
	at := w.line.at(w)
	w.line.queue = slices.Delete(w.line.queue, at, at+1)
	if len(w.line.queue) == 0 {
		delete(s.waiting, w.line)
	}
	w.line.turns(&w.Request).serve(w.Client, w.round, w.lease != nil)
	if w.err != nil {
		s.past.fail(&w.Request, w.err)
	}
	if c := w.line.claim; c != nil && (w.lease != nil || len(w.line.queue) == 0) {
		s.unclaim(c)
	}
	close(w.settled)
}

// FullError says that too many requests wait for a model.
type FullError struct {
	// Model is the model, and Waiting how many requests wait for it.
	Model   string
	Waiting int
	// RetryAfter is when it is worth another try, in whole seconds.
	RetryAfter time.Duration
}

// Error says it.
func (e *FullError) Error() string {
	if e.Waiting == 1 {
		return fmt.Sprintf("1 request waits for %s already", e.Model)
	}
	return fmt.Sprintf("%d requests wait for %s already", e.Waiting, e.Model)
}

// full is the error of a request that finds n waiting.
func (l *line) full(n int) error {
	slots := 0
	for _, g := range l.groups {
		if g.barred == 0 {
			slots += int(g.slots) * len(g.workers)
		}
	}
	e := &FullError{Model: l.model, Waiting: n, RetryAfter: l.pace.retryAfter(n, max(slots, 1))}
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
