package gateway

import (
	"errors"

	"rbee.dev/rbee/ops"
)

// errHangs says that a worker takes connections and does not answer.
var errHangs = errors.New("it does not answer any more")

// Hear takes over what a hive says of its workers. What was asked of one that hangs is
// broken off, so that another may answer, and it is asked nothing until it does not.
func (g *Gateway) Hear(hive string, workers []ops.Worker) { g.pool.hear(hive, workers) }

// hear notes which workers of a hive hang, and closes the connections to those.
func (s *conns) hear(hive string, workers []ops.Worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.hung {
		if k.Hive == hive {
			delete(s.hung, k)
		}
	}
	for _, w := range workers {
		if w.State != ops.WorkerHung {
			continue
		}
		if s.hung == nil {
			s.hung = map[key]bool{}
		}
		s.hung[key{Hive: hive, Worker: w.ID}] = true
	}
	if len(s.hung) == 0 {
		return
	}
	for c, k := range s.busy {
		if s.hung[k] {
			_ = c.Close() // who waits for its answer notices
		}
	}
}

// hangs reports whether a worker hangs, as far as its hive has said.
func (s *conns) hangs(k key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hung[k]
}
