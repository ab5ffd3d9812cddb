package gateway

import (
	"sync"

	"rbee.dev/rbee/ops"
)

// given counts the requests that each worker has from this gateway. A worker's
// own count arrives a moment later, too late for requests that come together.
type given struct {
	mu sync.Mutex
	n  map[key]int
}

// pick chooses a worker with choose and counts the request as given to it. Those
// in without are left out.
func (g *given) pick(workers []ops.Worker, model string, without map[key]bool) (ops.Worker, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]candidate, 0, len(workers))
	for _, w := range workers {
		if k := keyOf(w); !without[k] {
			all = append(all, candidate{w, g.n[k]})
		}
	}
	best, ok := choose(all, model)
	if ok {
		g.count(keyOf(best.Worker), 1)
	}
	return best.Worker, ok
}

// give counts a request as given to a worker that was chosen otherwise.
func (g *given) give(k key) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count(k, 1)
}

// take counts a request as finished.
func (g *given) take(k key) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count(k, -1)
}

func (g *given) count(k key, by int) {
	if g.n == nil {
		g.n = map[key]int{}
	}
	if g.n[k] += by; g.n[k] == 0 {
		delete(g.n, k)
	}
}
