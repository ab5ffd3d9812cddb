package gateway

import (
	"context"
	"sync"

	"rbee.dev/rbee/ops"
)

// starts is the workers that are being started, one at a time for each model
// however many requests wait for it.
type starts struct {
	mu      sync.Mutex
	running map[string]*start
	work    sync.WaitGroup
}

// start is one of them. It is the ops.Sink of the work, so that who waits hears
// what happens.
type start struct {
	done   chan struct{}
	worker ops.Worker // once done
	err    error

	mu    sync.Mutex
	said  []string
	grown chan struct{} // closed when something is said
}

var _ ops.Sink = (*start)(nil)

// wait waits for a worker with the model, which is started unless that is under
// way already; say is told what happens. When ctx ends the start goes on: the
// next request will want it.
func (s *starts) wait(ctx, life context.Context, f Fleet, model string, say func(string)) (ops.Worker, error) {
	st := s.join(life, f, model)
	for heard := 0; ; {
		lines, grown := st.since(heard)
		for _, line := range lines {
			say(line)
		}
		heard += len(lines)
		select {
		case <-grown:
		case <-st.done:
			return st.worker, st.err
		case <-ctx.Done():
			return ops.Worker{}, context.Cause(ctx)
		}
	}
}

func (s *starts) join(life context.Context, f Fleet, model string) *start {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.running[model]; st != nil {
		return st
	}
	if s.running == nil {
		s.running = map[string]*start{}
	}
	st := &start{done: make(chan struct{}), grown: make(chan struct{})}
	s.running[model] = st
	s.work.Go(func() {
		st.worker, st.err = f.Start(ops.WithSink(life, st), model)
		s.mu.Lock()
		delete(s.running, model)
		s.mu.Unlock()
		close(st.done)
	})
	return st
}

// since returns what was said behind the first n lines, and a channel that is
// closed when there is more.
func (s *start) since(n int) (lines []string, grown <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said[n:], s.grown
}

// Emit takes what the work says.
func (s *start) Emit(e ops.Event) {
	n, ok := e.(ops.NarrationEvent)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, n.Actor+": "+n.Human)
	close(s.grown)
	s.grown = make(chan struct{})
}

// Mark takes what another daemon's job says.
func (s *start) Mark(e ops.Event, _ ops.Cursor) {
	if e != nil {
		s.Emit(e)
	}
}

// Cursor is of jobs that survive a restart, which a start is not.
func (*start) Cursor() ops.Cursor { return ops.Cursor{} }

// JobID is empty: a start is no job.
func (*start) JobID() string { return "" }
