package queen

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

// heardWhole has the hive of [serving] say so of its worker called whole.
func heardWhole(q *Queen, state ops.WorkerState, why string, failedStarts int) {
	q.books.heard("gpu1", ops.HiveSnapshot{Workers: []ops.Worker{
		{ID: "whole", HiveID: "gpu1", Model: "small", State: state, Error: why, FailedStarts: failedStarts},
	}}, time.Now())
}

// onWait is a sink that does something when somebody is told that he waits.
type onWait struct {
	noted
	do func()
}

func (s *onWait) Emit(e ops.Event) { s.Mark(e, s.Cursor()) }

func (s *onWait) Mark(e ops.Event, at ops.Cursor) {
	s.noted.Mark(e, at)
	if n, ok := e.(ops.NarrationEvent); ok && n.Action == "worker_wait" {
		s.do()
	}
}

func TestAWorkerThatIsNamedIsWaitedForWhileItsEngineIsStartedAgain(t *testing.T) {
	const died = "llama-server ended (signal 9, killed); it is started again in 500ms"
	for _, c := range []struct {
		name   string
		before bool           // the queen knows it when the job comes
		then   func(q *Queen) // what comes of it
		asked  int32          // how often the worker is
		code   ops.Code       // of what comes of the job
		says   string
	}{
		{"it is known, and comes back", true, func(q *Queen) { heardWhole(q, ops.WorkerReady, "", 0) }, 1, "", "waiting for worker whole of gpu1, which loads small again: " + died},
		{"the job meets with it, and it comes back", false, func(q *Queen) { heardWhole(q, ops.WorkerReady, "", 0) }, 2, "", "trying it once more: "},
		{"it cannot be started", true, func(q *Queen) { heardWhole(q, ops.WorkerLoading, died, 2) }, 1, ops.CodeUnavailable, "waiting for worker whole"},
		{"it goes", false, func(q *Queen) { q.books.heard("gpu1", ops.HiveSnapshot{}, time.Now()) }, 1, ops.CodeUnavailable, "waiting for worker whole"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var q *Queen
			var up atomic.Bool
			var asked atomic.Int32
			q = serving(t, func(context.Context, ops.HiveOp) (any, error) {
				if asked.Add(1); up.Load() {
					return ops.Answer{WorkerID: "whole"}, nil
				}
				if !c.before {
					heardWhole(q, ops.WorkerLoading, died, 0)
				}
				return nil, ops.Errorf(ops.CodeUnavailable, died)
			})
			if c.before {
				heardWhole(q, ops.WorkerLoading, died, 0)
			}
			sink := &onWait{do: func() {
				up.Store(c.code == "")
				c.then(q)
			}}
			_, err := q.assign(ops.WithSink(t.Context(), sink), ops.Infer{WorkerID: "whole", Prompt: "Tell"})
			if ops.CodeOf(err) != c.code || asked.Load() != c.asked {
				t.Errorf("%v, asked %d times", err, asked.Load())
			}
			if !slices.ContainsFunc(sink.said, func(s string) bool { return strings.Contains(s, c.says) }) {
				t.Errorf("it says %q", sink.said)
			}
		})
	}
}

func TestAJobThatWaitsForItsWorkerCanBeCancelled(t *testing.T) {
	q := serving(t, func(context.Context, ops.HiveOp) (any, error) { return ops.Answer{}, nil })
	heardWhole(q, ops.WorkerLoading, "it ended", 0)
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := q.assign(ops.WithSink(ctx, &onWait{do: func() { cancel(errors.New("enough")) }}), ops.Infer{WorkerID: "whole", Prompt: "Tell"})
	if err == nil || !errors.Is(err, context.Cause(ctx)) {
		t.Errorf("it ends with %v", err)
	}
}

// TestWhoWaitsForAWorkerThatSaysNothingIsToldSo: whether he named it or not.
func TestWhoWaitsForAWorkerThatSaysNothingIsToldSo(t *testing.T) {
	for _, o := range []ops.Infer{{Model: "small", Prompt: "Tell"}, {WorkerID: "whole", Prompt: "Tell"}} {
		told := make(chan struct{})
		q := serving(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
			select {
			case <-told:
			case <-ctx.Done():
			}
			return ops.Answer{WorkerID: "whole"}, nil
		})
		q.quietAfter = time.Millisecond
		sink := &onWait{do: func() { close(told) }}
		if _, err := q.assign(ops.WithSink(t.Context(), sink), o); err != nil {
			t.Fatal(err)
		}
		if len(sink.said) != 1 || !strings.Contains(sink.said[0], "waiting for worker whole of gpu1, which has said nothing yet") {
			t.Errorf("it says %q", sink.said)
		}
	}
}

func TestAWorkerThatAJobNamesIsAsTheJobWantsIt(t *testing.T) {
	w := ops.Worker{ID: "w1", HiveID: "gpu1", Engine: "llamacpp", Device: "cuda:0"}
	for _, tt := range []struct {
		engine, device, field string
	}{
		{},
		{engine: "auto", device: "auto"},
		{engine: "llamacpp", device: "cuda:0"},
		{engine: "builtin", field: "worker"},
		{device: "cpu", field: "device"},
	} {
		err := isAsAsked(w, ops.Infer{Engine: tt.engine, Device: tt.device})
		if (err == nil) != (tt.field == "") || err != nil && (ops.CodeOf(err) != ops.CodeInvalid || ops.AsError(err).Field != tt.field) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}
