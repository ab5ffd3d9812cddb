package worker

import (
	"net/http"
	"sync"

	"rbee.dev/rbee/ops"
)

// state is what the worker tells of itself. Each change is published before the
// next one is made.
type state struct {
	publish func(ops.Worker)

	mu   sync.Mutex
	info ops.Worker
}

// change changes what is told and tells it.
func (s *state) change(f func(*ops.Worker)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.info)
	if s.info.State == ops.WorkerReady || s.info.State == ops.WorkerBusy {
		s.info.State = ops.WorkerReady
		if s.info.Running >= s.info.Slots {
			s.info.State = ops.WorkerBusy
		}
	}
	s.publish(s.info)
}

// counting counts the requests that h answers, whichever way they came.
func (s *state) counting(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.change(func(i *ops.Worker) { i.Running++ })
		defer s.change(func(i *ops.Worker) { i.Running-- })
		h.ServeHTTP(w, r)
	})
}
