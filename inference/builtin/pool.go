package builtin

import "sync"

// pool is the threads that compute a step. Work is split by index; what an
// index computes does not depend on how many threads there are.
type pool struct {
	threads int
	tasks   chan task
	done    sync.WaitGroup
}

type task struct {
	run    func(lo, hi int)
	lo, hi int
	ready  *sync.WaitGroup
}

func newPool(threads int) *pool {
	p := &pool{threads: threads, tasks: make(chan task)}
	for range threads - 1 { // the caller is one itself
		p.done.Go(func() {
			for t := range p.tasks {
				t.run(t.lo, t.hi)
				t.ready.Done()
			}
		})
	}
	return p
}

// close ends the threads.
func (p *pool) close() {
	close(p.tasks)
	p.done.Wait()
}

// each splits 0 to n among the threads, in multiples of four where it can, and
// returns when all is done. Small work is not worth waking a thread for: cost
// is about how many multiplications there are.
func (p *pool) each(n, cost int, run func(lo, hi int)) {
	parts := min(p.threads, n, 1+cost/worthwhile)
	if parts <= 1 {
		run(0, n)
		return
	}
	size := (n/parts + 3) &^ 3
	var ready sync.WaitGroup
	lo := 0
	for ; lo+size < n; lo += size {
		ready.Add(1)
		p.tasks <- task{run, lo, lo + size, &ready}
	}
	run(lo, n)
	ready.Wait()
}

// worthwhile is how many multiplications take longer than waking a thread does,
// some 5 µs.
const worthwhile = 100_000
