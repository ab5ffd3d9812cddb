package ops_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rbee.dev/rbee/ops"
)

// sink remembers what it is told.
type sink struct{ events []ops.Event }

func (s *sink) JobID() string              { return "the-job-of-the-test" }
func (s *sink) Emit(e ops.Event)           { s.events = append(s.events, e) }
func (s *sink) Mark(ops.Event, ops.Cursor) {}
func (s *sink) Cursor() ops.Cursor         { return ops.Cursor{} }

func TestWorkNarratesIntoTheJobOfItsContext(t *testing.T) {
	s := &sink{}
	ctx := ops.WithSink(t.Context(), s)
	ops.Narrate(ctx, "hive_start", "starting %s", "gpu1")
	hive := ops.As(ctx, "hive")
	ops.Warn(hive, "disk_low", "%d %% free", 3)
	ops.Progress(ops.As(hive, "worker"), "model_load", 1, 4, "steps")
	ops.Emit(hive, ops.TokenEvent{Text: "a"})
	want := []ops.Event{
		ops.NarrationEvent{Action: "hive_start", Human: "starting gpu1", Level: "info"},
		ops.NarrationEvent{Actor: "hive", Action: "disk_low", Human: "3 % free", Level: "warn"},
		ops.ProgressEvent{Actor: "worker", Action: "model_load", Done: 1, Total: 4, Unit: "steps"},
		ops.TokenEvent{Text: "a"},
	}
	if diff := cmp.Diff(want, s.events, cmpopts.IgnoreFields(ops.NarrationEvent{}, "At")); diff != "" {
		t.Errorf("events differ (-want +got):\n%s", diff)
	}
	if at := s.events[0].(ops.NarrationEvent).At; at.IsZero() || at.Location() != time.UTC {
		t.Errorf("the narration is of %v, want a time in UTC", at)
	}
	if ops.SinkOf(hive) != ops.Sink(s) {
		t.Error("SinkOf does not return the job")
	}
}

func TestWithoutAJobNarrationDoesNothing(t *testing.T) {
	ctx := ops.As(t.Context(), "hive")
	ops.Narrate(ctx, "hive_start", "starting")
	ops.Warn(ctx, "disk_low", "low")
	ops.Progress(ctx, "model_load", 1, 4, "steps")
	ops.Emit(ctx, ops.TokenEvent{Text: "a"})
	if s := ops.SinkOf(ctx); s != nil {
		t.Errorf("SinkOf() = %v, want nil", s)
	}
}
