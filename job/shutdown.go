package job

import (
	"context"
	"fmt"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
)

// Detach prepares for a restart: it ends the work of every job without ending
// the jobs, waits for it until ctx ends, and closes the streams. The next
// process takes the jobs up from their logs.
func (s *Server[O]) Detach(ctx context.Context) error {
	err := s.endWork(ctx, ops.ErrDetached)
	for _, j := range s.unfinished() {
		j.detach()
	}
	s.endStreams(ctx)
	return err
}

// Stop ends the server for good: it cancels every job and waits for its work
// until ctx ends. A job whose work does not heed that is cancelled all the same.
// Readers are given two seconds, or less if ctx ends, to read how it ended;
// then the streams are closed.
func (s *Server[O]) Stop(ctx context.Context) error {
	cause := ops.Errorf(ops.CodeCancelled, "the %s is stopping", s.Mode).WithHint("%s", s.Again)
	err := s.endWork(ctx, cause)
	for _, j := range s.unfinished() {
		s.finish(j, ops.JobCancelled, nil, cause)
	}
	s.endStreams(ctx)
	return err
}

// TakeNoMore refuses further jobs, which /health tells, before those that run end.
func (s *Server[O]) TakeNoMore() {
	s.mu.Lock() // none is being taken then
	defer s.mu.Unlock()
	s.gone.Store(true)
}

// endWork takes no more jobs, ends the context of those that run with cause,
// and waits for their work.
func (s *Server[O]) endWork(ctx context.Context, cause error) error {
	s.TakeNoMore()
	s.endBase(cause)
	idle := make(chan struct{})
	go func() { // ends with the last job
		defer close(idle)
		s.work.Wait()
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the jobs to end: %w", context.Cause(ctx))
	}
}

func (s *Server[O]) unfinished() []*job {
	var list []*job
	for _, j := range s.all() {
		if j.endedAt() == nil {
			list = append(list, j)
		}
	}
	return list
}

// readersLeave is how long readers may take to read what is there at the end.
const readersLeave = 2 * time.Second

// endStreams closes the streams that wait for more, and waits for those that
// have still to send what there is. A reader that takes nothing is left to the
// HTTP server.
func (s *Server[O]) endStreams(ctx context.Context) {
	s.close()
	s.spares.drop()
	s.idle.stop()
	ctx, cancel := context.WithTimeout(ctx, readersLeave)
	defer cancel()
	select {
	case <-s.streams.empty():
	case <-ctx.Done():
		s.Log.Warn().Msg("not every reader has read to the end")
	}
}

// attendance counts who is there.
type attendance struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // closed when the last one leaves; nil while nobody asks
}

func (a *attendance) enter() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n++
}

func (a *attendance) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n--; a.n == 0 && a.none != nil {
		close(a.none)
		a.none = nil
	}
}

// empty is closed when nobody is there.
func (a *attendance) empty() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n == 0 {
		none := make(chan struct{})
		close(none)
		return none
	}
	if a.none == nil {
		a.none = make(chan struct{})
	}
	return a.none
}
