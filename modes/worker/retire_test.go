package worker_test

import (
	"context"
	"testing"
	"time"

	"rbee.dev/rbee/inference/enginetest"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// TestAWorkerIsUnloadedOnlyWhileItHasNothingToDo: whoever asks, and whatever they
// have heard of it.
func TestAWorkerIsUnloadedOnlyWhileItHasNothingToDo(t *testing.T) {
	w := start(t, paced(enginetest.Options{Pace: time.Millisecond}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := w.Do(ctx, ops.Infer{Prompt: enginetest.WordHang}, "", func(r transport.Received) error {
		if _, ok := r.Event.(ops.TokenEvent); ok {
			if err := w.Post(t.Context(), daemon.RetirePath, nil, nil); ops.CodeOf(err) != ops.CodeConflict {
				t.Errorf("while it runs something: %v", err)
			}
			cancel()
		}
		return nil
	})
	if err == nil {
		t.Fatal("the request ended by itself")
	}
	await(t, w.Client, func(s ops.Worker) bool { return s.Running == 0 })
	if text, _, err := infer(t, w.Client, ops.Infer{Prompt: "x"}); err != nil || text == "" {
		t.Errorf("then it says %q, %v", text, err)
	}
	await(t, w.Client, func(s ops.Worker) bool { return s.Running == 0 })
	if err := w.Post(t.Context(), daemon.RetirePath, nil, nil); err != nil {
		t.Errorf("with nothing to do: %v", err)
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
}
