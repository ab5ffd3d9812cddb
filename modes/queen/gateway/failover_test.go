package gateway

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

func TestAWorkerThatFailsAtOnceIsPassedOverUnseen(t *testing.T) {
	for name, broken := range map[string]http.HandlerFunc{
		"it cuts the connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"it is stopping":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"nobody listens":         nil,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			f.add("a", broken)
			if broken == nil {
				f.servers["a"] = nil
			}
			f.add("b", events("hello", "[DONE]"))
			for range 3 { // whichever is first
				if status, _, text := f.ask("/v1/completions", streamed); status != 200 || text != "data: hello\n\ndata: [DONE]\n\n" {
					t.Errorf("%d %q", status, text)
				}
			}
			if !slices.Contains(f.dialled, "gpu1/a") {
				t.Error("the broken one was never tried")
			}
		})
	}
}

func TestAWorkerWhoseModelIsDividedIsAskedOnceMore(t *testing.T) {
	for name, tt := range map[string]struct {
		failures int32
		status   int
		says     string
	}{
		"it has lost a part": {1, http.StatusOK, "data: hello\n\ndata: [DONE]\n\n"},
		"it loses it again":  {2, http.StatusServiceUnavailable, "the part of the model on hive gpu2 was lost"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			var asked atomic.Int32
			f.add("a", func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) <= tt.failures {
					w.WriteHeader(http.StatusServiceUnavailable)
					_, _ = io.WriteString(w, "the part of the model on hive gpu2 was lost")
					return
				}
				events("hello", "[DONE]")(w, r)
			})
			f.mu.Lock()
			f.workers[0].Parts = []string{"gpu2"}
			f.mu.Unlock()
			f.tell()
			if status, _, text := f.ask("/v1/completions", streamed); status != tt.status || !strings.Contains(text, tt.says) {
				t.Errorf("%d %q", status, text)
			}
			if asked.Load() != 2 {
				t.Errorf("it was asked %d times", asked.Load())
			}
		})
	}
}
