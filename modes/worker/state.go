package worker

import (
	"encoding/json"
	"net/http"
	"sync"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

// state is what the worker tells of itself. Each change is published before the
// next one is made.
type state struct {
	publish func(ops.Worker)

	mu      sync.Mutex
	info    ops.Worker
	retired bool // it takes no more requests
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
		taken := false
		s.change(func(i *ops.Worker) {
			if taken = !s.retired; taken {
				i.Running++
			}
		})
		if !taken {
			refuse(w, errRetired)
			return
		}
		defer s.change(func(i *ops.Worker) { i.Running-- })
		h.ServeHTTP(w, r)
	})
}

// errRetired is the refusal of a worker that is being unloaded; others may take
// the request.
var errRetired = ops.Errorf(ops.CodeUnavailable, "the worker is being unloaded").WithHint("ask again")

// retire has the worker take no more requests, unless it runs some now.
func (s *state) retire() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.info.Running; n > 0 {
		return ops.Errorf(ops.CodeConflict, "worker %s has something to do: %d running", s.info.ID, n)
	}
	s.retired = true
	return nil
}

// serveRetire ends a worker that has nothing to do. The worker itself knows: a
// request may have come that its hive has not heard of yet.
func (w *Worker) serveRetire(rw http.ResponseWriter, _ *http.Request) {
	if err := w.state.retire(); err != nil {
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(http.StatusConflict)
		_ = json.NewEncoder(rw).Encode(ops.AsError(err)) // the hive may be gone
		return
	}
	rw.WriteHeader(http.StatusAccepted)
	w.stopper.Ask(daemon.ScopeAll)
}
