package worker_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/enginetest"
	"rbee.dev/rbee/modes/worker"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// remembered is paced, and gives the engine out once it is open.
func remembered(o enginetest.Options) (engine func() *enginetest.Engine, open worker.Open) {
	var opened *enginetest.Engine
	return func() *enginetest.Engine { return opened }, func(ctx context.Context, s inference.Spec) (inference.Engine, error) {
		e, err := enginetest.Open(ctx, s, o)
		if err != nil {
			return nil, err
		}
		opened = e
		return e, nil
	}
}

// gated opens an engine when it is told to.
func gated(open worker.Open) (worker.Open, func()) {
	gate := make(chan struct{})
	return func(ctx context.Context, s inference.Spec) (inference.Engine, error) {
		select {
		case <-gate:
			return open(ctx, s)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}, func() { close(gate) }
}

// post calls the worker's socket as a client of the engine's API does.
func post(t *testing.T, w running, path, body string) (int, string) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DialContext: w.DialContext, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost"+path, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestAWorkerTellsHowItLoadsAndHowBusyItIs(t *testing.T) {
	open, load := gated(paced(enginetest.Options{Pace: time.Millisecond}))
	w := start(t, open)
	first := await(t, w.Client, func(ops.Worker) bool { return true })
	if first.State != ops.WorkerLoading || first.ID != "w1" || first.HiveID != "localhost" || first.PID == 0 || first.Engine != "builtin" {
		t.Errorf("the first state is %+v", first)
	}
	if h, err := w.Health(t.Context()); err != nil || h.Mode != "worker" {
		t.Errorf("health is %+v, %v", h, err)
	}
	load()
	ready := await(t, w.Client, func(s ops.Worker) bool { return s.State == ops.WorkerReady })
	if ready.Slots != 2 || ready.Context != inference.DefaultContextLength || ready.Running != 0 {
		t.Errorf("the ready state is %+v", ready)
	}
	for _, id := range []string{"a-job-that-hangs-1", "a-job-that-hangs-2"} {
		if _, err := w.Submit(t.Context(), ops.Infer{Prompt: enginetest.WordHang}, id); err != nil {
			t.Fatal(err)
		}
	}
	busy := await(t, w.Client, func(s ops.Worker) bool { return s.Running == 2 })
	if busy.State != ops.WorkerBusy {
		t.Errorf("with every slot taken it is %+v", busy)
	}
	if _, err := w.Cancel(t.Context(), "a-job-that-hangs-1"); err != nil {
		t.Fatal(err)
	}
	await(t, w.Client, func(s ops.Worker) bool { return s.Running == 1 && s.State == ops.WorkerReady })
}

func TestAJobThatComesEarlyWaitsForTheModel(t *testing.T) {
	open, load := gated(paced(enginetest.Options{}))
	w := start(t, open)
	if _, err := w.Submit(t.Context(), ops.Infer{Prompt: "x"}, "an-early-job-0001"); err != nil {
		t.Fatal(err)
	}
	if status, body := post(t, w, "/v1/completions", `{}`); status != http.StatusServiceUnavailable || !strings.Contains(body, "still loading") {
		t.Errorf("the engine's API says %d %s", status, body)
	}
	load()
	for r, err := range w.Follow(t.Context(), "an-early-job-0001", 0) {
		if err != nil {
			t.Fatal(err)
		}
		if end, ok := r.Event.(ops.EndEvent); ok && end.State != ops.JobCompleted {
			t.Errorf("it ended %s", end)
		}
	}
}

func TestAWorkerWhoseEngineIsStartedAgainIsLoading(t *testing.T) {
	var changed func(error)
	open := paced(enginetest.Options{})
	w := start(t, func(ctx context.Context, s inference.Spec) (inference.Engine, error) {
		changed = s.Changed
		return open(ctx, s)
	})
	await(t, w.Client, func(s ops.Worker) bool { return s.State == ops.WorkerReady })
	changed(errors.New("it was killed"))
	if s := await(t, w.Client, func(s ops.Worker) bool { return s.State == ops.WorkerLoading }); s.Error != "it was killed" {
		t.Errorf("the state is %+v", s)
	}
	changed(nil)
	if s := await(t, w.Client, func(s ops.Worker) bool { return s.State == ops.WorkerReady }); s.Error != "" || s.Slots != 2 {
		t.Errorf("afterwards it is %+v", s)
	}
}

func TestWhatALoadingWorkerWaitsForIsToldUntilItIsReady(t *testing.T) {
	open, load := gated(paced(enginetest.Options{}))
	waits := make(chan func(string), 1)
	w := start(t, func(ctx context.Context, s inference.Spec) (inference.Engine, error) {
		waits <- s.Waits
		return open(ctx, s)
	})
	(<-waits)("it has read 1 of 3")
	if s := await(t, w.Client, func(s ops.Worker) bool { return s.Waiting != "" }); s.Waiting != "it has read 1 of 3" || s.State != ops.WorkerLoading {
		t.Errorf("it is %+v", s)
	}
	load()
	if s := await(t, w.Client, func(s ops.Worker) bool { return s.State == ops.WorkerReady }); s.Waiting != "" {
		t.Errorf("then it waits for %q", s.Waiting)
	}
}

func TestTheEnginesOwnAPIIsServedAndCounted(t *testing.T) {
	w := start(t, paced(enginetest.Options{Pieces: 2}))
	await(t, w.Client, func(s ops.Worker) bool { return s.State == ops.WorkerReady })
	status, body := post(t, w, "/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}]}`)
	if status != http.StatusOK || !strings.Contains(body, `"content":"w0 w1 "`) {
		t.Errorf("got %d %s", status, body)
	}
	hang, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // ends with hang
		_ = w.Post(hang, "/v1/completions", map[string]any{"prompt": enginetest.WordHang}, nil)
	}()
	await(t, w.Client, func(s ops.Worker) bool { return s.Running == 1 })
	cancel()
	await(t, w.Client, func(s ops.Worker) bool { return s.Running == 0 })
}

func TestAnEngineThatCannotLoadEndsTheWorkerWithTheReason(t *testing.T) {
	for _, c := range []struct {
		name, says string
		open       worker.Open
	}{
		{"an error", "load fake: no such tensor", paced(enginetest.Options{LoadError: errors.New("no such tensor")})},
		{"a panic", "load fake: the builtin engine panicked: ouch", func(context.Context, inference.Spec) (inference.Engine, error) { panic("ouch") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			open, load := gated(c.open)
			w := start(t, open)
			if _, err := w.Submit(t.Context(), ops.Infer{Prompt: "x"}, "a-job-in-vain-0001"); err != nil {
				t.Fatal(err)
			}
			load()
			s := await(t, w.Client, func(s ops.Worker) bool { return s.State == ops.WorkerFailed })
			if s.Error != c.says {
				t.Errorf("the state says %q, want %q", s.Error, c.says)
			}
			if err := w.stop(); err == nil || err.Error() != c.says {
				t.Errorf("Run gives %v, want %q", err, c.says)
			}
		})
	}
}

func TestAWorkerStoppedWhileLoadingIsNoFailure(t *testing.T) {
	open, _ := gated(nil)
	w := start(t, open)
	if err := w.stop(); err != nil {
		t.Error(err)
	}
}

func TestStoppingAWorkerCancelsItsJobs(t *testing.T) {
	w := start(t, paced(enginetest.Options{Pace: time.Millisecond}))
	stopped := make(chan error, 1)
	stop := sync.OnceFunc(func() {
		go func() { stopped <- w.stop() }() // received below
	})
	_, err := w.Do(t.Context(), ops.Infer{Prompt: enginetest.WordHang}, "", func(r transport.Received) error {
		if _, ok := r.Event.(ops.TokenEvent); ok {
			stop()
		}
		return nil
	})
	if ops.CodeOf(err) != ops.CodeCancelled || !strings.Contains(err.Error(), "the worker is stopping") {
		t.Errorf("the job ends with %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestAnUnknownEngineIsRefusedByName(t *testing.T) {
	_, err := worker.New(worker.Options{ID: "w1", Engine: "warp", Folder: t.TempDir(), Engines: map[string]worker.Open{"builtin": nil}})
	e, ok := errors.AsType[*ops.Error](err)
	if !ok || e.Code != ops.CodeUnsupported || e.Field != "worker" || !strings.Contains(e.Hint, "builtin") {
		t.Errorf("got %#v", err)
	}
}

// TestWhatAnEngineHasItIsAsked: which routes there are, its server says.
func TestWhatAnEngineHasItIsAsked(t *testing.T) {
	w := start(t, answering(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/rerank" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, "the engine's "+r.URL.Path)
	}))
	await(t, w.Client, func(s ops.Worker) bool { return s.State == ops.WorkerReady })
	for path, want := range map[string]string{
		"/v1/chat/completions": "the engine's /v1/chat/completions", "/v1/completions": "the engine's /v1/completions",
		"/v1/embeddings": "the engine's /v1/embeddings", "/v1/responses": "the engine's /v1/responses", "/v1/rerank": "404 page not found\n",
	} {
		if _, text := post(t, w, path, `{}`); text != want {
			t.Errorf("%s: %q", path, text)
		}
	}
}
