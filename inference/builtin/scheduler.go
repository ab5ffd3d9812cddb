package builtin

import (
	"fmt"
	"sync"

	"rbee.dev/rbee/ops"
)

// chunk is how many tokens of prompts a step computes at most. A longer step
// would keep other requests waiting for their next token.
const chunk = 64

// scheduler runs requests in slots. One goroutine owns the slots and the
// runner: it takes requests in order, and computes a step for all that run.
type scheduler struct {
	runner *runner
	isEnd  func(int32) bool
	slots  []*slot

	mu      sync.Mutex
	queue   []*request
	closed  bool
	wake    chan struct{} // has one element when there is something to look at
	stopped sync.WaitGroup
}

func newScheduler(r *runner, slots int, isEnd func(int32) bool) *scheduler {
	s := &scheduler{runner: r, isEnd: isEnd, wake: make(chan struct{}, 1)}
	for range slots {
		s.slots = append(s.slots, &slot{cache: newCache(r.m)})
	}
	s.stopped.Go(s.run)
	return s
}

// submit queues a request; its out is closed when it has ended.
func (s *scheduler) submit(r *request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.queue = append(s.queue, r)
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

// close ends what runs and waits for it.
func (s *scheduler) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.poke()
	s.stopped.Wait()
}

func (s *scheduler) run() {
	for {
		if s.admit() {
			s.abort()
			return
		}
		if !s.step() {
			<-s.wake
		}
	}
}

// admit drops requests that nobody waits for any more, puts queued ones into
// free slots, and reports whether the scheduler is closed.
func (s *scheduler) admit() (closed bool) {
	for _, slot := range s.slots {
		if slot.req != nil && slot.req.ctx.Err() != nil {
			slot.end(slot.req.ctx.Err())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.queue[:0]
	for _, r := range s.queue {
		if r.ctx.Err() != nil {
			r.err = r.ctx.Err()
			close(r.out)
		} else if free := s.free(r); free != nil {
			free.begin(r)
		} else {
			waiting = append(waiting, r)
		}
	}
	clear(s.queue[len(waiting):])
	s.queue = waiting
	return s.closed
}

// free returns the free slot that has most of the request's prompt cached.
func (s *scheduler) free(r *request) *slot {
	var best *slot
	for _, slot := range s.slots {
		if slot.req == nil && (best == nil || common(slot.cached, r.prompt) > common(best.cached, r.prompt)) {
			best = slot
		}
	}
	return best
}

// step computes one batch: the next token of each slot that answers, and a
// piece of the prompts of others. It reports whether there was anything to do.
func (s *scheduler) step() bool {
	var batch []place
	var asking []*slot // those whose scores come, in order
	left := chunk      // tokens of prompts that still fit
	for _, slot := range s.slots {
		if slot.req == nil || slot.pending() > 0 && left == 0 {
			continue
		}
		part := min(slot.pending(), left)
		left -= part
		batch = slot.feed(batch, part)
		if batch[len(batch)-1].logits {
			asking = append(asking, slot)
		}
	}
	if len(batch) == 0 {
		return false
	}
	scores, err := s.compute(batch)
	if err != nil {
		s.fail(err)
		return true
	}
	for i, slot := range asking {
		s.advance(slot, scores[i])
	}
	return true
}

// compute runs the step and makes an error of a panic: the requests fail, the
// worker lives.
func (s *scheduler) compute(batch []place) (scores [][]float32, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the engine failed in a step: %v", p)
		}
	}()
	return s.runner.step(batch), nil
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
	for _, slot := range s.slots {
		slot.cached = slot.cached[:0]
		if slot.req != nil {
			slot.end(err)
		}
	}
}

// abort ends everything, running and queued.
func (s *scheduler) abort() {
	s.fail(errClosed)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.queue {
		r.err = errClosed
		close(r.out)
	}
	s.queue = nil
}
