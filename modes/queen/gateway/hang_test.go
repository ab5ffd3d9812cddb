package gateway

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

// hang has the hive say that a worker hangs, or answers again.
func (f *farm) hang(id string, state ops.WorkerState) {
	f.mu.Lock()
	for i := range f.workers {
		if f.workers[i].ID == id {
			f.workers[i].State = state
		}
	}
	f.mu.Unlock()
	f.tell()
	f.gateway.Hear("gpu1", f.Workers())
}

// stuck is a worker that says this much and then nothing.
func stuck(said string, asked chan<- struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if said != "" {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, said)
			_ = http.NewResponseController(w).Flush()
		}
		asked <- struct{}{}
		<-r.Context().Done()
	}
}

func TestWhatAWorkerWasAskedThatHangsIsAskedOfAnother(t *testing.T) {
	f := newFarm(t)
	asked := make(chan struct{}, 1)
	f.add("a", stuck("", asked))
	go func() { // ends when the request has come
		<-asked
		f.add("b", events("hello", "[DONE]"))
		f.hang("a", ops.WorkerHung)
	}()
	if status, _, text := f.ask("/v1/completions", streamed); status != 200 || text != "data: hello\n\ndata: [DONE]\n\n" {
		t.Errorf("%d %q", status, text)
	}
}

func TestAWorkerThatHangsIsAskedNothingUntilItIsBack(t *testing.T) {
	f := newFarm(t)
	f.add("a", events("hello", "[DONE]"))
	f.hang("a", ops.WorkerHung)
	if status, _, text := f.ask("/v1/completions", streamed); status != 503 || len(f.dialled) > 0 {
		t.Errorf("%d %q, dialled %q", status, text, f.dialled)
	}
	f.hang("a", ops.WorkerReady)
	if status, _, text := f.ask("/v1/completions", streamed); status != 200 {
		t.Errorf("it is back: %d %q", status, text)
	}
}

// TestNoConnectionLeadsToAWorkerThatHangs: not even for a request that had the worker
// before its hive told of it.
func TestNoConnectionLeadsToAWorkerThatHangs(t *testing.T) {
	server := echo(t)
	s, _ := newConns(t, server.Listener.Addr().String())
	for _, kept := range []bool{false, true} {
		s.hear("h", []ops.Worker{{ID: "w", State: ops.WorkerHung}})
		s.hear("another", []ops.Worker{{ID: "w"}})
		if _, _, err := s.post(t, "/", nil); !errors.Is(err, errHangs) {
			t.Errorf("kept %v: %v", kept, err)
		}
		s.hear("h", []ops.Worker{{ID: "w", State: ops.WorkerReady}})
		if _, _, err := s.post(t, "/", nil); err != nil {
			t.Errorf("kept %v: it is back: %v", kept, err)
		}
	}
	if len(s.busy) > 0 {
		t.Errorf("%d connections count as used", len(s.busy))
	}
}

func TestAStreamOfAWorkerThatHangsEndsWithAnError(t *testing.T) {
	f := newFarm(t)
	asked := make(chan struct{}, 1)
	f.add("a", stuck("data: {\"choices\":[{\"text\":\"Once\"}]}\n\n", asked))
	answer, err := f.open(t.Context(), http.MethodPost, "/v1/completions", streamed, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	<-asked
	begun := make([]byte, 10)
	if _, err := io.ReadFull(answer.Body, begun); err != nil {
		t.Fatal(err)
	}
	f.hang("a", ops.WorkerHung)
	if text, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(text), `"error"`) || !strings.Contains(string(text), "does not answer any more") {
		t.Errorf("it says %q, %v", text, err)
	}
}
