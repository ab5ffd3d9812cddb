package transport_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

func TestForwardMarksEachEventWithWhereItCameFrom(t *testing.T) {
	d := newDaemon(t)
	events := story(2)
	d.stream = func(s *streamer) { s.sendAll(events) }
	here := &sink{id: jobID}
	raw, err := transport.Forward(ops.WithSink(t.Context(), here), d.client(t), "gpu1", ops.Infer{Prompt: "Once"})
	if err != nil || string(raw) != `{"text":"all of it","model":"tinybee"}` {
		t.Errorf("Forward() = %s, %v; want the result as it came", raw, err)
	}
	if diff := cmp.Diff(events[:3], here.events); diff != "" {
		t.Errorf("events of the job here differ (-want +got):\n%s", diff)
	}
	want := []ops.Cursor{
		{Target: "gpu1", JobID: jobID},
		{Target: "gpu1", JobID: jobID, Last: 1},
		{Target: "gpu1", JobID: jobID, Last: 2},
		{Target: "gpu1", JobID: jobID, Last: 3},
	}
	if diff := cmp.Diff(want, here.marks); diff != "" {
		t.Errorf("cursors differ (-want +got):\n%s", diff)
	}
	if got := d.submissions(); !slices.Equal(got, []string{jobID}) {
		t.Errorf("submitted under %q, want the id of the job here", got)
	}
}

func TestForwardTakesUpAJobThatItsPredecessorForwarded(t *testing.T) {
	other := "another-job-of-this-one"
	for name, tt := range map[string]struct {
		cursor    ops.Cursor
		submitted int
		events    int // of three
	}{
		"had heard some of it":        {ops.Cursor{Target: "gpu1", JobID: jobID, Last: 2}, 0, 1},
		"had heard all but the end":   {ops.Cursor{Target: "gpu1", JobID: jobID, Last: 3}, 0, 0},
		"had heard nothing":           {ops.Cursor{Target: "gpu1", JobID: jobID}, 1, 3},
		"forwarded to somebody else":  {ops.Cursor{Target: "gpu2", JobID: jobID, Last: 2}, 1, 3},
		"forwarded another job there": {ops.Cursor{Target: "gpu1", JobID: other, Last: 2}, 1, 3},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t)
			d.stream = func(s *streamer) { s.sendAll(story(2)) }
			here := &sink{id: jobID, cursor: tt.cursor}
			raw, err := transport.Forward(ops.WithSink(t.Context(), here), d.client(t), "gpu1", ops.Infer{Prompt: "Once"})
			if err != nil || len(raw) == 0 {
				t.Errorf("Forward() = %s, %v", raw, err)
			}
			if n, _, _ := d.counts(); n != tt.submitted {
				t.Errorf("submitted %d times, want %d", n, tt.submitted)
			}
			if len(here.events) != tt.events {
				t.Errorf("took over %d events, want %d", len(here.events), tt.events)
			}
		})
	}
}

func TestForwardAsGivesTheJobThereAnotherID(t *testing.T) {
	d := newDaemon(t)
	d.stream = func(s *streamer) { s.sendAll(story(1)) }
	here := &sink{id: jobID}
	ctx := ops.WithSink(t.Context(), here)
	if _, err := transport.ForwardAs(ctx, d.client(t), "gpu1", ops.WorkerSpawn{}, jobID+"-spawn"); err != nil {
		t.Fatal(err)
	}
	if _, err := transport.Forward(ctx, d.client(t), "gpu1", ops.Infer{Prompt: "Once"}); err != nil {
		t.Fatal(err)
	}
	if got := d.submissions(); !slices.Equal(got, []string{jobID + "-spawn", jobID}) {
		t.Errorf("submitted under %q", got)
	}
}

func TestForwardReturnsTheFailureOfTheJobThere(t *testing.T) {
	for name, want := range map[string]*ops.Error{
		"invalid":   ops.Invalid("worker_id", "there is none").WithHint("see rbee worker list"),
		"not found": ops.Errorf(ops.CodeNotFound, "there is no model %q", "tinybea").WithHint("did you mean tinybee?"),
		"cancelled": ops.Errorf(ops.CodeCancelled, "the hive is stopping"),
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t)
			state := ops.JobFailed
			if want.Code == ops.CodeCancelled {
				state = ops.JobCancelled
			}
			d.stream = func(s *streamer) { s.sendAll(ending(want, state)) }
			_, err := transport.Forward(ops.WithSink(t.Context(), &sink{id: jobID}), d.client(t), "gpu1", ops.Infer{Prompt: "Once"})
			got, ok := errors.AsType[*ops.Error](err)
			if !ok || got.Code != want.Code || got.Message != want.Message || got.Field != want.Field || got.Hint != want.Hint {
				t.Errorf("Forward() = %+v, want %+v", err, want)
			}
		})
	}
}

func TestForwardSaysWhenTheJobThereWasForgotten(t *testing.T) {
	d := newDaemon(t)
	d.stream = func(s *streamer) { s.fail(ops.Errorf(ops.CodeNotFound, "there is no job %q", jobID)) }
	here := &sink{id: jobID, cursor: ops.Cursor{Target: "gpu1", JobID: jobID, Last: 2}}
	_, err := transport.Forward(ops.WithSink(t.Context(), here), d.client(t), "gpu1", ops.Infer{Prompt: "Once"})
	if ops.CodeOf(err) != ops.CodeUnavailable || !strings.Contains(err.Error(), "forgotten the job") {
		t.Errorf("Forward() = %v (%s), want that the hive forgot the job", err, ops.CodeOf(err))
	}
	if n, cancelled, _ := d.counts(); n != 0 || cancelled != 0 {
		t.Errorf("submitted %d and cancelled %d times, want neither: it may have run already", n, cancelled)
	}
}

// TestForwardReturnsWhyNoJobWasMadeThere: what the operation names does not exist there.
func TestForwardReturnsWhyNoJobWasMadeThere(t *testing.T) {
	for name, older := range map[string]bool{"a daemon": false, "a daemon of an older build": true} {
		d := newDaemon(t)
		want := ops.Errorf(ops.CodeNotFound, "there is no worker %q", "w9").WithHint("did you mean %q?", "w1")
		want.Field, d.older = "worker_id", older
		d.submit = func(_ int, w http.ResponseWriter) { writeJSON(w, http.StatusNotFound, want) }
		_, err := transport.Forward(ops.WithSink(t.Context(), &sink{id: jobID}), d.client(t), "gpu1", ops.Infer{Prompt: "Once"})
		got := ops.AsError(err)
		if got.Code != want.Code || got.Message != want.Message || got.Field != want.Field || got.Hint != want.Hint {
			t.Errorf("%s: Forward() = %+v, want %+v", name, got, want)
		}
		if _, cancelled, streams := d.counts(); cancelled != 0 || streams != 0 {
			t.Errorf("%s: cancelled %d and read %d times what there is not", name, cancelled, streams)
		}
	}
}

func TestForwardReturnsARefusal(t *testing.T) {
	c := transport.New(transport.Unix(deadSocket(t)))
	defer c.Close()
	_, err := transport.Forward(ops.WithSink(t.Context(), &sink{id: jobID}), c, "gpu1", ops.Infer{Prompt: "Once"})
	if !errors.Is(err, transport.ErrUnreachable) {
		t.Errorf("Forward() = %v, want ErrUnreachable", err)
	}
}

func TestForwardWantsAJob(t *testing.T) {
	c := transport.New(transport.Unix(deadSocket(t)))
	defer c.Close()
	if _, err := transport.Forward(t.Context(), c, "gpu1", ops.Status{}); err == nil {
		t.Error("Forward() without a job succeeded")
	}
	if _, err := transport.ForwardAs(t.Context(), c, "gpu1", ops.Status{}, jobID); err == nil {
		t.Error("ForwardAs() without a job succeeded")
	}
}

func TestWhenItsContextEndsForward(t *testing.T) {
	cancelled := ops.Errorf(ops.CodeCancelled, "the job was cancelled")
	for name, tt := range map[string]struct {
		cause error
		want  []string // jobs cancelled there
	}{
		"cancels the job there":                    {cancelled, []string{jobID}},
		"leaves the job there for a restart of us": {ops.ErrDetached, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t)
			ctx, cancel := context.WithCancelCause(ops.WithSink(t.Context(), &sink{id: jobID}))
			defer cancel(nil)
			d.stream = func(s *streamer) {
				s.send(1, ops.TokenEvent{Text: "a"})
				cancel(tt.cause)
				s.hang()
			}
			_, err := transport.Forward(ctx, d.client(t), "gpu1", ops.Infer{Prompt: "Once"})
			if !errors.Is(err, tt.cause) {
				t.Errorf("Forward() = %v, want %v", err, tt.cause)
			}
			if got := d.cancellations(); !slices.Equal(got, tt.want) {
				t.Errorf("cancelled %q, want %q", got, tt.want)
			}
		})
	}
}
