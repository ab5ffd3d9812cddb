package job_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
)

func TestOnlyTheJobSaysHowItEnds(t *testing.T) {
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		ops.Emit(ctx, ops.ResultEvent{Raw: []byte(`"early"`)})
		ops.Emit(ctx, ops.TokenEvent{Text: "t1"})
		ops.Emit(ctx, ops.ErrorEvent{Error: *ops.Errorf(ops.CodeInternal, "early")})
		ops.Emit(ctx, ops.EndEvent{State: ops.JobFailed})
		return "done", nil
	})
	if err := inOrder(d.all(d.submit(infer)), 1); err != nil {
		t.Error(err)
	}
}

func TestWhatIsSaidAfterTheEndIsDropped(t *testing.T) {
	sinks := make(chan ops.Sink, 1)
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		sinks <- ops.SinkOf(ctx)
		return "done", nil
	})
	id := d.submit(infer)
	want := d.all(id)
	sink := <-sinks
	sink.Emit(ops.TokenEvent{Text: "late"})
	sink.Emit(ops.ProgressEvent{Action: "late"})
	sink.Mark(ops.TokenEvent{Text: "late"}, ops.Cursor{Last: 9})
	sink.Mark(nil, ops.Cursor{Last: 9})
	if diff := cmp.Diff(want, d.all(id), cmp.AllowUnexported(frame{})); diff != "" {
		t.Errorf("the stream has changed (-want +got):\n%s", diff)
	}
	if got := sink.Cursor(); got != (ops.Cursor{}) {
		t.Errorf("the cursor has moved to %+v", got)
	}
}

func TestWorkSpeaksFromManyGoroutinesAtOnce(t *testing.T) {
	const each, speakers = 200, 8
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		var all sync.WaitGroup
		for range speakers {
			all.Go(func() { tokens(ctx, each) })
		}
		all.Wait()
		return "done", nil
	})
	got := d.all(d.submit(infer))
	if len(got) != each*speakers+2 {
		t.Fatalf("%d events, want %d", len(got), each*speakers+2)
	}
	for i, f := range got {
		if f.id != uint64(i+1) {
			t.Fatalf("event %d has id %d", i+1, f.id)
		}
	}
}

func TestTheWorkKnowsItsJob(t *testing.T) {
	d := serve(t, func(ctx context.Context, o ops.HiveOp) (any, error) {
		return map[string]string{"id": ops.SinkOf(ctx).JobID(), "prompt": o.(ops.Infer).Prompt}, nil
	})
	id := d.submit(infer)
	if got, want := d.all(id)[0].data, `{"id":"`+id+`","prompt":"x"}`; got != want {
		t.Errorf("the work knew %s, want %s", got, want)
	}
}

func TestCancellingReachesTheWorkWithItsReason(t *testing.T) {
	began := make(chan struct{})
	var cause error
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		close(began)
		<-ctx.Done()
		cause = context.Cause(ctx)
		return "done all the same", nil
	})
	id := d.submit(infer)
	<-began
	d.request(http.MethodDelete, "/v1/jobs/"+id, "")
	if got := d.all(id); got[0].data != `"done all the same"` || d.job(id).State != ops.JobCompleted {
		t.Errorf("work that was done in time: %v", got)
	}
	if ops.CodeOf(cause) != ops.CodeCancelled {
		t.Errorf("the cause is %v, want one with code cancelled", cause)
	}
}

func TestAReaderWhoLeavesDoesNotCancelTheJob(t *testing.T) {
	left := make(chan struct{})
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		tokens(ctx, 1)
		<-left
		return "done", ctx.Err()
	})
	id := d.submit(infer)
	if _, err := d.read(t.Context(), id, 0, 1); err != nil {
		t.Fatal(err)
	}
	d.client.CloseIdleConnections()
	close(left)
	if err := inOrder(d.all(id), 1); err != nil {
		t.Error(err)
	}
}

// lines is a log for operators that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// of returns the messages with a field of that value, after their level.
func (l *lines) of(t *testing.T, field, value string) (messages []string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		if entry[field] == value {
			messages = append(messages, entry["level"].(string)+" "+entry["message"].(string))
		}
	}
	return messages
}

func TestOperatorsSeeEachJobAndWhatItNarrates(t *testing.T) {
	var log lines
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		ops.Narrate(ctx, "model_load", "loading %s", "tinybee")
		tokens(ctx, 2)
		return nil, errors.New("odd")
	}, func(o *job.Options[ops.HiveOp]) { o.Log = zerolog.New(&log) })
	id := d.submit(infer)
	d.all(id)
	d.Close()
	want := []string{"info job started", "debug loading tinybee", "info job ended"}
	if diff := cmp.Diff(want, log.of(t, "job", id)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}
