package schedule

import (
	"maps"
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
	round   int  // see [turns]
	mates   *int // how many of its client's wait here, see [line.count]

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

// enqueue has a request wait. Where as many wait as may, another one makes way for
// it, or it is refused.
func (s *Scheduler) enqueue(l *line, r *Request) (*waiter, error) {
	out, why, err := s.bound(l, r)
	if err != nil {
		return nil, err
	}
	s.arrived++
	w := &waiter{
		Request: *r, line: l, arrival: s.arrived, came: r.came(), round: l.turns(r).deal(r.Client),
		settled: make(chan struct{}), news: make(chan struct{}, 1),
	}
	if len(l.queue) == 0 {
		l.oldest = w.came
	}
	for _, st := range l.starts {
		w.join(st)
	}
	l.queue = slices.Insert(l.queue, l.at(w), w)
	if !r.Came.IsZero() {
		l.asTheyCame()
	}
	l.count(w, 1)
	s.waiting[l] = true
	if out != nil {
		s.displace(out, why)
	}
	s.past.begin(r, l.at(w)+1, len(l.queue))
	return w, nil
}

// settle ends a request's waiting; its lease or err says how.
func (s *Scheduler) settle(w *waiter) {
	at := w.line.at(w)
	w.line.queue = slices.Delete(w.line.queue, at, at+1)
	w.line.count(w, -1)
	if len(w.line.queue) == 0 {
		delete(s.waiting, w.line)
	}
	w.line.turns(&w.Request).serve(w.Client, w.round, w.lease != nil)
	if w.err != nil {
		s.past.left(&w.Request, w.err)
	}
	if c := w.line.claim; c != nil && (w.lease != nil || len(w.line.queue) == 0) {
		s.unclaim(c)
	}
	close(w.settled)
}
