package transport_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

func TestStateYieldsEachStateAndEndsWithTheConnection(t *testing.T) {
	d := newDaemon(t)
	d.stream = func(s *streamer) {
		s.raw("id: 1\nevent: state\ndata: {\"a\":1}\n\n: still here\n\nid: 2\nevent: state\ndata: {\"a\":2}\n\n")
		s.raw("id: 3\nevent: state\ndata: {\"a\":3}") // torn, though it is JSON
	}
	var states []string
	var end error
	for state, err := range d.client(t).State(t.Context()) {
		if end = err; err == nil {
			states = append(states, string(state))
		}
	}
	if !slices.Equal(states, []string{`{"a":1}`, `{"a":2}`}) {
		t.Errorf("states are %q", states)
	}
	if !errors.Is(end, transport.ErrUnreachable) {
		t.Errorf("the end is %v, want ErrUnreachable", end)
	}
	if _, _, n := d.counts(); n != 1 {
		t.Errorf("State connected %d times, want once", n)
	}
}

func TestStateMayBeLeftAndCancelled(t *testing.T) {
	d := newDaemon(t)
	d.stream = func(s *streamer) { s.raw("id: 1\nevent: state\ndata: {}\n\n"); s.hang() }
	for _, err := range d.client(t).State(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("the hive ended")
	var end error
	for _, err := range d.client(t).State(ctx) {
		cancel(why)
		end = err
	}
	if !errors.Is(end, why) {
		t.Errorf("the end is %v, want %v", end, why)
	}
}

func TestAStateThatIsNoJSONEndsTheStream(t *testing.T) {
	d := newDaemon(t)
	d.stream = func(s *streamer) { s.raw("id: 1\nevent: state\ndata: hello\n\n"); s.hang() }
	var end error
	for _, err := range d.client(t).State(t.Context()) {
		end = err
	}
	if ops.CodeOf(end) != ops.CodeInternal {
		t.Errorf("a state that is not JSON ends with %v, want internal", end)
	}
}
