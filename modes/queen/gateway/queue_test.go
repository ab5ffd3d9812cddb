package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
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
			if status != http.StatusTooManyRequests || err != nil || after < 1 || !strings.Contains(text, tt.says) || !strings.Contains(text, "1 request waits for bee already") {
				t.Errorf("%d, Retry-After %q: %s", status, header.Get("Retry-After"), text)
			}
			if x, err := f.schedule.Explain(header.Get(JobHeader)); err != nil || !strings.Contains(x.Error, "1 request waits for bee") {
				t.Errorf("it is explained by %+v, %v", x, err)
			}
		})
	}
}

func TestAHeaderOfOursThatSaysNothingKnownIsRefused(t *testing.T) {
	f := newFarm(t)
	f.add("w", events("hello", "[DONE]"))
	for _, header := range []string{PriorityHeader, ResumeHeader} {
		status, _, text := f.send(http.MethodPost, "/v1/completions", streamed, http.Header{header: {"perhaps"}})
		var e failure
		if err := json.Unmarshal([]byte(text), &e); err != nil || status != http.StatusBadRequest || e.Error.Param == nil || *e.Error.Param != header {
			t.Errorf("%s: %d %s, %v", header, status, text, err)
		}
	}
}

// TestARequestThatWaitedGoesElsewhereWhenItsWorkerFails: a and b are busy, and one
// request waits. It gets a's slot, which fails it, waits again, and gets b's.
func TestARequestThatWaitedGoesElsewhereWhenItsWorkerFails(t *testing.T) {
	f := newFarm(t)
	began := make(chan struct{}, 3)
	ends := map[string]chan struct{}{"a": make(chan struct{}), "b": make(chan struct{})}
	var failed atomic.Int32
	busy := func(id string) http.HandlerFunc {
		var asked atomic.Bool
		return func(w http.ResponseWriter, r *http.Request) {
			if asked.Swap(true) && id == "a" {
				failed.Add(1)
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			began <- struct{}{}
			<-ends[id]
			events("from "+id, "[DONE]")(w, r)
		}
	}
	for _, id := range []string{"a", "b"} {
		f.add(id, busy(id))
	}
	f.mu.Lock()
	f.workers[0].Slots, f.workers[1].Slots = 1, 1
	f.mu.Unlock()
	f.tell()
	answers := make(chan string, 3)
	ask := func() {
		_, _, text := f.ask("/v1/completions", streamed)
		answers <- text
	}
	for range 2 {
		go ask()
		<-began
	}
	go ask()
	waits := func(n int) {
		for f.schedule.Waiting()["bee"] != n {
			time.Sleep(time.Millisecond)
		}
	}
	waits(1)
	close(ends["a"])
	if got := <-answers; got != "data: from a\n\ndata: [DONE]\n\n" {
		t.Errorf("the first says %q", got)
	}
	for failed.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	waits(1)
	close(ends["b"])
	for range 2 {
		if got := <-answers; got != "data: from b\n\ndata: [DONE]\n\n" {
			t.Errorf("one of b's says %q", got)
		}
	}
	if n := failed.Load(); n != 1 {
		t.Errorf("a was tried %d times more", n)
	}
}

// TestRequestsThatLoseTheirWorkerAreLetInBeyondTheBound: a dies with three of them.
// b takes one, and the others wait, though no more than one may.
func TestRequestsThatLoseTheirWorkerAreLetInBeyondTheBound(t *testing.T) {
	f := newFarm(t)
	f.schedule.Depth = 1
	began, dies, end := make(chan struct{}, 3), make(chan struct{}), make(chan struct{})
	f.add("a", func(http.ResponseWriter, *http.Request) {
		began <- struct{}{}
		<-dies
		panic(http.ErrAbortHandler)
	})
	answers := make(chan string, 3)
	for range 3 {
		go func() {
			_, _, text := f.ask("/v1/completions", `{"model":"bee"}`)
			answers <- text
		}()
		<-began
	}
	f.add("b", func(w http.ResponseWriter, r *http.Request) {
		<-end
		says(`{"from":"b","choices":[{}]}`)(w, r)
	})
	f.mu.Lock()
	f.workers[1].Slots = 1
	f.mu.Unlock()
	f.tell()
	close(dies)
	for f.schedule.Waiting()["bee"] != 2 && len(answers) == 0 {
		time.Sleep(time.Millisecond)
	}
	close(end)
	for range 3 {
		if got := <-answers; got != `{"from":"b","choices":[{}]}` {
			t.Errorf("one is told %q", got)
		}
	}
}
