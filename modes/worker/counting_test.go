package worker

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"rbee.dev/rbee/ops"
)

// TestARetiredWorkerTakesNoRequests: each that comes is refused so that others may
// take it, and none is counted.
func TestARetiredWorkerTakesNoRequests(t *testing.T) {
	s := state{publish: func(ops.Worker) {}}
	asked := 0
	h := s.counting(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if asked++; s.retire() == nil {
			t.Error("it retires while it runs something")
		}
	}))
	ask := func() int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/completions", nil))
		return w.Code
	}
	if code := ask(); code != http.StatusOK || asked != 1 {
		t.Fatalf("%d, %d reached the engine", code, asked)
	}
	if err := s.retire(); err != nil {
		t.Fatal(err)
	}
	if code := ask(); code != http.StatusServiceUnavailable || asked != 1 || s.info.Running != 0 {
		t.Errorf("retired: %d, %d reached the engine, %d run", code, asked, s.info.Running)
	}
}
