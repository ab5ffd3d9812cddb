package gateway

import (
	"context"
	"sync"

	"rbee.dev/rbee/ops"
)

// arrivals is the models that are being brought, each once however many requests
// wait for it.
type arrivals struct {
	mu      sync.Mutex
	running map[string]*arrival
	work    sync.WaitGroup
}

// arrival is one of them. It is the ops.Sink of the work, so that who waits hears
// what happens.
type arrival struct {
	done  chan struct{}
	model ops.Model // once done
	err   error

	mu    sync.Mutex
	said  []string
	grown chan struct{} // closed when something is said
}

var _ ops.Sink = (*arrival)(nil)

// wait waits for the model that a reference means, which is brought unless that is
// under way already; say is told what happens. When ctx ends that goes on: the
// next request will want it.
func (s *arrivals) wait(ctx, life context.Context, f Fleet, model string, say func(string)) (ops.Model, error) {
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
			return st.model, st.err
		case <-ctx.Done():
			return ops.Model{}, context.Cause(ctx)
		}
	}
}

func (s *arrivals) join(life context.Context, f Fleet, model string) *arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.running[model]; st != nil {
		return st
	}
	if s.running == nil {
		s.running = map[string]*arrival{}
	}
	st := &arrival{done: make(chan struct{}), grown: make(chan struct{})}
	s.running[model] = st
	s.work.Go(func() {
		st.model, st.err = f.Bring(ops.WithSink(life, st), model)
		s.mu.Lock()
		delete(s.running, model)
		s.mu.Unlock()
		close(st.done)
	})
	return st
}

// since returns what was said behind the first n lines, and a channel that is
// closed when there is more.
func (s *arrival) since(n int) (lines []string, grown <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said[n:], s.grown
}

// Emit takes what the work says.
func (s *arrival) Emit(e ops.Event) {
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
func (s *arrival) Mark(e ops.Event, _ ops.Cursor) {
	if e != nil {
		s.Emit(e)
	}
}

// Cursor is of jobs that survive a restart, which an arrival is not.
func (*arrival) Cursor() ops.Cursor { return ops.Cursor{} }

// JobID is empty: an arrival is no job.
func (*arrival) JobID() string { return "" }
