package gateway

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

// full is a farm whose only slot is taken until the test ends, and where one
// request waits already.
func full(t *testing.T) *farm {
	t.Helper()
	f := newFarm(t)
	f.schedule.Depth = 1
	f.start = func(ctx context.Context, _ string) (ops.Worker, error) { return ops.Worker{}, context.Cause(ctx) }
	began, end := make(chan struct{}, 1), make(chan struct{})
	f.add("w", func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		select {
		case <-end:
		case <-r.Context().Done():
		}
		events("hello", "[DONE]")(w, r)
	})
	f.workers[0].Slots = 1
	f.tell()
	done := make(chan struct{}, 2)
	t.Cleanup(func() {
		close(end)
		<-done
		<-done
	})
	ask := func() {
		f.ask("/v1/completions", streamed)
		done <- struct{}{}
	}
	go ask()
	<-began
	go ask()
	for f.schedule.Waiting()["bee"] == 0 {
		time.Sleep(time.Millisecond)
	}
	return f
}

func TestAFullQueueIsToldInEachDialect(t *testing.T) {
	for path, tt := range map[string]struct{ body, says string }{
		"/v1/chat/completions": {`{"model":"bee","messages":[],"stream":true}`, `"code":"rate_limit_exceeded"`},
		"/v1/messages":         {`{"model":"bee","max_tokens":1,"messages":[{"role":"user","content":"x"}]}`, `"type":"rate_limit_error"`},
		"/api/chat":            {`{"model":"bee","messages":[{"role":"user","content":"x"}]}`, `{"error":"`},
	} {
		t.Run(path, func(t *testing.T) {
			f := full(t)
			status, header, text := f.ask(path, tt.body)
			after, err := strconv.Atoi(header.Get("Retry-After"))
			if status != http.StatusTooManyRequests || err != nil || after < 1 || !strings.Contains(text, tt.says) || !strings.Contains(text, "1 requests wait for bee already") {
				t.Errorf("%d, Retry-After %q: %s", status, header.Get("Retry-After"), text)
			}
			if x, err := f.schedule.Explain(header.Get(JobHeader)); err != nil || !strings.Contains(x.Error, "wait for bee") {
				t.Errorf("it is explained by %+v, %v", x, err)
			}
		})
	}
}

func TestAnUnknownPriorityIsRefused(t *testing.T) {
	f := newFarm(t)
	f.add("w", events("hello", "[DONE]"))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.front.URL+"/v1/completions", strings.NewReader(streamed))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(PriorityHeader, "urgent")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("the status is %d", answer.StatusCode)
	}
}
