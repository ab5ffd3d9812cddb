package schedule

import (
	"slices"
	"time"

	"rbee.dev/rbee/ops"
)

// Requests that waited at an earlier queen come to this one all at once, and in any
// order. They wait in their old one.

// came is when the request came first.
func (r *Request) came() time.Time {
	if r.Came.IsZero() {
		return time.Now()
	}
	return r.Came
}

// Hold has nobody served until [Scheduler.Go], so that those who come at the same
// time are served in their order.
func (s *Scheduler) Hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = true
}

// Go ends [Scheduler.Hold].
func (s *Scheduler) Go() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = false
	s.dispatchAll()
}

// asTheyCame gives those that wait the turns that they would have had if they had
// come in the order in which they came first: the arrivals among all, the rounds
// among those of one client and priority.
func (l *line) asTheyCame() {
	byCame := slices.Clone(l.queue)
	slices.SortStableFunc(byCame, func(a, b *waiter) int { return a.came.Compare(b.came) })
	arrivals := make([]uint64, len(byCame))
	rounds := map[whoWaits][]int{}
	for i, w := range l.queue {
		arrivals[i] = w.arrival
		rounds[w.who()] = append(rounds[w.who()], w.round)
	}
	slices.Sort(arrivals)
	for i, w := range byCame {
		w.arrival = arrivals[i]
		own := rounds[w.who()] // in their order, as the queue is
		w.round, rounds[w.who()] = own[0], own[1:]
	}
	slices.SortFunc(l.queue, func(a, b *waiter) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
}

// whoWaits is a client with one kind of requests.
type whoWaits struct {
	client   string
	priority ops.Priority
}

func (w *waiter) who() whoWaits { return whoWaits{w.Client, w.priority()} }
