package transport_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// sink is a job that only remembers.
type sink struct {
	id string

	mu     sync.Mutex
	events []ops.Event
	cursor ops.Cursor
	marks  []ops.Cursor
}

func (s *sink) JobID() string { return s.id }

func (s *sink) Emit(e ops.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *sink) Mark(e ops.Event, at ops.Cursor) {
	if e != nil {
		s.Emit(e)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursor = at
	s.marks = append(s.marks, at)
}

func (s *sink) Cursor() ops.Cursor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cursor
}

func TestCallReturnsTheResultAndPassesOnWhatTheJobSays(t *testing.T) {
	d := newDaemon(t)
	events := story(3)
	d.stream = func(s *streamer) { s.sendAll(events) }
	here := &sink{id: "the-job-of-this-side"}
	answer, err := transport.Call(ops.WithSink(t.Context(), here), d.client(t), ops.Infer{Prompt: "Once"})
	if err != nil || answer.Text != "all of it" || answer.Model != "tinybee" {
		t.Errorf("Call() = %+v, %v", answer, err)
	}
	if diff := cmp.Diff(events[:4], here.events); diff != "" {
		t.Errorf("events of the job here differ (-want +got):\n%s", diff)
	}
	if d.submissions()[0] == here.id {
		t.Error("Call took this job's id for the other")
	}
}

func TestCallReturnsTheFailureThatTheJobEndedWith(t *testing.T) {
	whole := ops.Invalid("prompt", "must not be empty").WithHint("say something")
	for name, tt := range map[string]struct {
		events []ops.Event
		want   *ops.Error
	}{
		"error event":               {ending(whole, ops.JobFailed), whole},
		"cancelled with its reason": {ending(ops.Errorf(ops.CodeCancelled, "the hive is stopping"), ops.JobCancelled), ops.Errorf(ops.CodeCancelled, "the hive is stopping")},
		"cancelled without one":     {[]ops.Event{ops.EndEvent{State: ops.JobCancelled}}, ops.Errorf(ops.CodeCancelled, "the job was cancelled")},
		"failed without one":        {[]ops.Event{ops.EndEvent{State: ops.JobFailed, Message: "it broke"}}, ops.Errorf(ops.CodeInternal, "it broke")},
		"a result of another type":  {[]ops.Event{ops.ResultEvent{Raw: json.RawMessage(`[1]`)}, ops.EndEvent{State: ops.JobCompleted}}, &ops.Error{Code: ops.CodeInternal, Message: "read the result of infer from the hive: json: cannot unmarshal array into Go value of type ops.Answer"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t)
			d.stream = func(s *streamer) { s.sendAll(tt.events) }
			_, err := transport.Call(t.Context(), d.client(t), ops.Infer{Prompt: "Once"})
			got, ok := errors.AsType[*ops.Error](err)
			if !ok {
				t.Fatalf("Call() = %v, want an *ops.Error", err)
			}
			if got.Code != tt.want.Code || got.Message != tt.want.Message || got.Field != tt.want.Field || got.Hint != tt.want.Hint {
				t.Errorf("Call() = %+v, want %+v", got, tt.want)
			}
			if _, n, _ := d.counts(); n != 0 {
				t.Error("a job that had ended was cancelled")
			}
		})
	}
}

func TestCallCancelsTheJobWhenItsContextEnds(t *testing.T) {
	d := newDaemon(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the person pressed Ctrl-C")
	d.stream = func(s *streamer) {
		s.send(1, ops.TokenEvent{Text: "a"})
		cancel(why)
		s.hang()
	}
	_, err := transport.Call(ctx, d.client(t), ops.Infer{Prompt: "Once"})
	if !errors.Is(err, why) {
		t.Errorf("Call() = %v, want %v", err, why)
	}
	if !slices.Equal(d.cancellations(), d.submissions()) {
		t.Errorf("cancelled %q, want %q", d.cancellations(), d.submissions())
	}
}

func TestDoCancelsTheJobWhenItsReaderFails(t *testing.T) {
	d := newDaemon(t)
	d.stream = func(s *streamer) { s.send(1, ops.TokenEvent{Text: "a"}); s.hang() }
	closed := errors.New("broken pipe")
	_, err := d.client(t).Do(t.Context(), ops.Infer{Prompt: "Once"}, jobID, func(transport.Received) error { return closed })
	if !errors.Is(err, closed) {
		t.Errorf("Do() = %v, want %v", err, closed)
	}
	if !slices.Equal(d.cancellations(), []string{jobID}) {
		t.Errorf("cancelled %q, want the job", d.cancellations())
	}
}

func TestACancelThatCameTooLateTellsWhatWasDone(t *testing.T) {
	for name, tt := range map[string]struct {
		events []ops.Event
		done   bool
	}{
		"done all the same": {story(0), true},
		"cancelled":         {ending(ops.Errorf(ops.CodeCancelled, "the job was cancelled"), ops.JobCancelled), false},
		"an answer of which tokens were not seen": {story(1), false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("the person pressed Ctrl-C")
			d.stream = func(s *streamer) {
				if s.n == 1 {
					cancel(why)
					s.hang()
					return
				}
				s.sendAll(tt.events)
			}
			raw, err := d.client(t).Do(ctx, ops.ModelDelete{ID: "x"}, jobID, func(transport.Received) error { return nil })
			if tt.done && (err != nil || !strings.Contains(string(raw), "all of it")) || !tt.done && !errors.Is(err, why) {
				t.Errorf("Do() = %s, %v", raw, err)
			}
		})
	}
}

func TestACancelThatNobodyAnswersIsToldOf(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // which nobody serves, as of a process that is stopped
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here := &sink{id: jobID}
	ctx, cancel := context.WithCancelCause(ops.WithSink(t.Context(), here))
	why := errors.New("the person pressed Ctrl-C")
	c := transport.New(transport.Options{
		Name: "the hive", BaseURL: "http://" + l.Addr().String(),
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			defer cancel(why)
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	})
	defer c.Close()
	if _, err := transport.Forward(ctx, c, "gpu1", ops.ModelDelete{ID: "x"}); !errors.Is(err, why) {
		t.Errorf("Forward() = %v", err)
	}
	if len(here.events) != 1 || !strings.Contains(fmt.Sprint(here.events[0]), "the hive has not answered that this is cancelled") {
		t.Errorf("the job says %+v", here.events)
	}
}

func TestNobodyWaitsForTheLastWordsOfADaemonThatIsGone(t *testing.T) {
	d := newDaemon(t)
	var gone atomic.Bool
	var dialled atomic.Int32 // since it is gone
	c := d.client(t, func(o *transport.Options) {
		o.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if gone.Load() {
				dialled.Add(1)
				return nil, errors.New("nobody listens")
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := errors.New("its process has ended")
	d.stream = func(s *streamer) {
		s.send(1, ops.TokenEvent{Text: "a"})
		gone.Store(true)
		cancel(ended)
	}
	if _, err := c.Do(ctx, ops.Infer{Prompt: "Once"}, jobID, func(transport.Received) error { return nil }); !errors.Is(err, ended) {
		t.Errorf("Do() = %v", err)
	}
	if n := dialled.Load(); n > 2 { // to go on with the stream, and to cancel
		t.Errorf("it was asked for %d times more", n)
	}
}
