package worker_test

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/modes/worker"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// running is a worker in this process, and a client of it.
type running struct {
	*transport.Client
	folder string
	stop   func() error // ends it and returns what Run did
}

// start runs a worker of the engine in this process.
func start(t *testing.T, open worker.Open) running {
	t.Helper()
	folder := t.TempDir()
	w, err := worker.New(worker.Options{
		ID: "w1", Hive: "localhost", Model: "fake", Path: "/fake.gguf", Parallel: 2, Folder: folder,
		Engines: map[string]worker.Open{"builtin": open}, Log: zerolog.New(zerolog.NewTestWriter(t)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	var result error
	go func() {
		defer close(done)
		result = w.Run(ctx)
	}()
	options := transport.Unix(filepath.Join(folder, home.WorkerSocket))
	options.Name = "the worker"
	r := running{Client: transport.New(options), folder: folder, stop: func() error {
		cancel()
		<-done
		return result
	}}
	t.Cleanup(func() {
		_ = r.stop() // a test that cares has asked already
		r.Close()
	})
	return r
}

// handler is an engine that is nothing but its HTTP side.
type handler struct{ http.Handler }

func (handler) Slots() int         { return 1 }
func (handler) ContextLength() int { return 64 }
func (handler) Close() error       { return nil }

// answering opens an engine that answers every request by f, with a stream unless f
// says otherwise.
func answering(f http.HandlerFunc) worker.Open {
	stream := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		f(w, r)
	}
	return func(context.Context, inference.Spec) (inference.Engine, error) {
		return handler{http.HandlerFunc(stream)}, nil
	}
}

// infer runs o and returns the tokens' text and the answer.
func infer(t *testing.T, c *transport.Client, o ops.Infer) (text string, answer ops.Answer, err error) {
	t.Helper()
	var b strings.Builder
	raw, err := c.Do(t.Context(), o, "", func(r transport.Received) error {
		if token, ok := r.Event.(ops.TokenEvent); ok {
			b.WriteString(token.Text)
		}
		return nil
	})
	if err == nil {
		err = json.Unmarshal(raw, &answer)
	}
	return b.String(), answer, err
}

// await returns the first state of the worker's that is wanted.
func await(t *testing.T, c *transport.Client, wanted func(ops.Worker) bool) ops.Worker {
	t.Helper()
	for text, err := range c.State(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		var w ops.Worker
		if err := json.Unmarshal(text, &w); err != nil {
			t.Fatal(err)
		}
		if wanted(w) {
			return w
		}
	}
	t.Fatal("the state stream ended")
	return ops.Worker{}
}
