package builtin

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
)

// scheduler runs requests in slots. One goroutine owns the slots and the
// runner: it takes requests in order, and computes a step for all that run.
type scheduler struct {
	runner *runner
	isEnd  func(int32) bool
	// budget is how many tokens of prompts the next step may take.
	budget func() int
	pace   pace

	idle    []*slot // the one that ended first comes first
	running []*slot // in the order in which their requests came
	batch   []place
	asking  []*slot // those whose scores come, in order

	mu      sync.Mutex
	queue   []*request
	closed  bool
	wake    chan struct{} // has one element when there is something to look at
	stopped sync.WaitGroup
}

func newScheduler(r *runner, slots, context int, isEnd func(int32) bool) *scheduler {
	s := &scheduler{runner: r, isEnd: isEnd, wake: make(chan struct{}, 1)}
	s.budget = s.pace.tokens
	for range slots {
		s.idle = append(s.idle, &slot{cache: newCache(r.m, context)})
	}
	return s
}

// start begins to take requests.
func (s *scheduler) start() { s.stopped.Go(s.run) }

// submit queues requests in order; each one's out is closed when it has ended.
func (s *scheduler) submit(list ...*request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.queue = append(s.queue, list...)
	s.poke()
	return nil
}

var errClosed = ops.Errorf(ops.CodeUnavailable, "the engine is closing")

func (s *scheduler) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// close ends what runs and waits for it. It may be called twice.
func (s *scheduler) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.poke()
	s.stopped.Wait()
}

func (s *scheduler) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *scheduler) run() {
	for {
		if s.admit() {
			s.abort()
			return
		}
		if len(s.running) == 0 {
			<-s.wake
			continue
		}
		if err := s.step(); err != nil {
			s.fail(err)
		}
	}
}

// admit drops requests that nobody waits for any more, puts queued ones into
// free slots, and reports whether the scheduler is closed.
func (s *scheduler) admit() (closed bool) {
	for _, slot := range s.running {
		if slot.req != nil && slot.req.ctx.Err() != nil {
			slot.end(slot.req.ctx.Err())
		}
	}
	s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.queue[:0]
	for _, r := range s.queue {
		switch {
		case r.ctx.Err() != nil:
			r.finish(r.ctx.Err())
		case len(s.idle) > 0:
			slot := s.take(r)
			slot.begin(r)
			s.running = append(s.running, slot)
		default:
			waiting = append(waiting, r)
		}
	}
	clear(s.queue[len(waiting):])
	s.queue = waiting
	return s.closed
}

// release moves slots whose requests have ended to the idle ones.
func (s *scheduler) release() {
	s.running = slices.DeleteFunc(s.running, func(slot *slot) bool {
		if slot.req == nil {
			s.idle = append(s.idle, slot)
		}
		return slot.req == nil
	})
}

// take removes and returns the idle slot that has most of the request's prompt
// cached; among equals, the one that has been idle for longest.
func (s *scheduler) take(r *request) *slot {
	best := 0
	for i, slot := range s.idle {
		if slot.keeps(r) > s.idle[best].keeps(r) {
			best = i
		}
	}
	slot := s.idle[best]
	s.idle = slices.Delete(s.idle, best, best+1)
	return slot
}

// step computes one batch: the next token of each slot that answers, and a
// piece of the prompts of others, those who came first before the rest. A panic
// in it is an error: the requests fail, the process lives.
func (s *scheduler) step() (err error) {
	defer func() {
		if v := recover(); v != nil {
			p := recovered(v)
			err = fmt.Errorf("the engine failed in a step: %v (%s)", p.value, p.at)
		}
	}()
	s.gather()
	began := time.Now()
	scores, ok := s.runner.step(s.batch, s.abandoned)
	if !ok {
		return nil // admit ends the requests; nothing of them is cached
	}
	s.pace.took(len(s.batch), time.Since(began))
	for _, slot := range s.running {
		slot.computed()
		if slot.req.sum != nil && slot.pending() == 0 {
			slot.end(nil)
		}
	}
	for i, slot := range s.asking {
		s.advance(slot, scores[i])
	}
	return nil
}

// gather makes the batch.
func (s *scheduler) gather() {
	s.batch, s.asking = s.batch[:0], s.asking[:0]
	left := s.budget()
	for _, slot := range s.running {
		part := min(slot.pending(), left)
		if slot.pending() > 0 && part == 0 {
			continue
		}
		left -= part
		s.batch = slot.feed(s.batch, part)
		if s.batch[len(s.batch)-1].logits {
			s.asking = append(s.asking, slot)
		}
	}
}

// abandoned reports whether nobody waits for the step.
func (s *scheduler) abandoned() bool {
	if s.isClosed() {
		return true
	}
	for _, slot := range s.running {
		if slot.req.ctx.Err() == nil {
			return false
		}
	}
	return true
}

// advance chooses the slot's next token and hands it on.
func (s *scheduler) advance(slot *slot, scores []float32) {
	r := slot.req
	token, err := r.sampler.Next(scores)
	if err != nil {
		slot.end(err)
		return
	}
	if s.isEnd(token) {
		r.ends = true
		slot.end(nil)
		return
	}
	if r.last = time.Now(); slot.made == 0 {
		r.first = r.last
	}
	r.out <- token // has room for all
	slot.made++
	slot.next = token
	if slot.made >= r.most {
		slot.end(nil)
	}
}

// fail ends every request that runs, and forgets what is cached, which may be
// half-written.
func (s *scheduler) fail(err error) {
	for _, slot := range s.running {
		slot.cached = slot.cached[:0]
		if slot.req != nil {
			slot.end(err)
		}
	}
	s.release()
}

// abort ends everything, running and queued.
func (s *scheduler) abort() {
	s.fail(errClosed)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.queue {
		r.finish(errClosed)
	}
	s.queue = nil
}
