package builtin

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
)

// work is a loop that several threads share. What an index computes must not
// depend on how the indices are divided.
type work interface {
	// do computes the indices lo to hi. No two run at once with one thread.
	do(thread, lo, hi int)
}

// pool is the threads that compute a step. One goroutine uses it, and is one of
// the threads itself; the others sleep while there is nothing to do.
type pool struct {
	threads int
	wake    chan struct{} // one element for each thread that is to join in
	ended   sync.WaitGroup

	// The loop that is being run.
	work     work
	count    int
	share    int // indices taken at a time
	next     atomic.Int64
	busy     sync.WaitGroup
	panicked atomic.Pointer[workPanic]
}

// workPanic is what a thread panicked with, carried to the pool's user.
type workPanic struct {
	value any
	at    string
}

// recovered makes a workPanic of what recover returned; called by the deferred
// function itself, it finds the line that panicked.
func recovered(value any) *workPanic {
	if p, ok := value.(*workPanic); ok {
		return p
	}
	return &workPanic{value, panicLine()}
}

// panicLine is the file and line of the panic that is being recovered from.
func panicLine() string {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	panicking := false
	for {
		frame, more := frames.Next()
		switch inRuntime := strings.HasPrefix(frame.Function, "runtime."); {
		case inRuntime:
			panicking = true
		case panicking:
			return fmt.Sprintf("%s:%d", filepath.Base(frame.File), frame.Line)
		}
		if !more {
			return "an unknown line"
		}
	}
}

func newPool(threads int) *pool {
	p := &pool{threads: max(1, threads), wake: make(chan struct{}, threads)}
	for thread := 1; thread < p.threads; thread++ {
		p.ended.Go(func() {
			for range p.wake {
				p.join(thread)
				p.busy.Done()
			}
		})
	}
	return p
}

// close ends the threads.
func (p *pool) close() {
	close(p.wake)
	p.ended.Wait()
}

// each runs the indices 0 to n and returns when all are done. Small work is not
// worth waking a thread for: cost is about how many multiplications there are.
// A panic on any thread becomes one here, after the others have stopped.
func (p *pool) each(n, cost int, w work) {
	parts := min(p.threads, n, 1+cost/worthwhile)
	if parts <= 1 {
		w.do(0, 0, n)
		return
	}
	// Threads take a few shares each, so that one that is held up by something
	// else on the machine holds up little. Kernels like multiples of four.
	p.work, p.count, p.share = w, n, (n/(parts*sharesEach)+4)&^3
	p.next.Store(0)
	p.busy.Add(parts - 1)
	for range parts - 1 {
		p.wake <- struct{}{}
	}
	p.join(0)
	p.busy.Wait()
	if failure := p.panicked.Swap(nil); failure != nil {
		panic(failure)
	}
}

// join computes shares until none is left.
func (p *pool) join(thread int) {
	defer func() {
		if v := recover(); v != nil {
			p.panicked.CompareAndSwap(nil, recovered(v))
		}
	}()
	for {
		hi := int(p.next.Add(int64(p.share)))
		lo := hi - p.share
		if lo >= p.count {
			return
		}
		p.work.do(thread, lo, min(hi, p.count))
	}
}

const (
	// worthwhile is how many multiplications take longer than waking a thread
	// does, some 5 µs.
	worthwhile = 100_000
	// sharesEach is how many shares there are for each thread.
	sharesEach = 4
)
