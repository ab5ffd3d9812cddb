package transport_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// do has d do one inference, and returns the text of its tokens.
func do(t *testing.T, c *transport.Client) (text string, err error) {
	t.Helper()
	var all strings.Builder
	_, err = c.Do(t.Context(), ops.Infer{Prompt: "Once"}, jobID, func(r transport.Received) error {
		if e, ok := r.Event.(ops.TokenEvent); ok {
			all.WriteString(e.Text)
		}
		return nil
	})
	return all.String(), err
}

// told is the text of a story's tokens.
func told(events []ops.Event) string {
	var all strings.Builder
	for _, e := range events {
		if e, ok := e.(ops.TokenEvent); ok {
			all.WriteString(e.Text)
		}
	}
	return all.String()
}

func TestOneRequestSubmitsAJobAndFollowsIt(t *testing.T) {
	d := newDaemon(t)
	events := story(3)
	d.stream = func(s *streamer) {
		if s.r.Method != http.MethodPost {
			t.Errorf("the stream was asked for by %s", s.r.Method)
		}
		s.sendAll(events)
	}
	if text, err := do(t, d.client(t)); err != nil || text != told(events) {
		t.Errorf("Do() = %q, %v", text, err)
	}
}

func TestADaemonThatOnlyTellsWhereTheStreamIsIsFollowedThere(t *testing.T) {
	d := newDaemon(t)
	d.older = true
	events := story(3)
	d.stream = func(s *streamer) {
		if s.r.Method != http.MethodGet {
			t.Errorf("the stream was asked for by %s", s.r.Method)
		}
		s.sendAll(events)
	}
	if text, err := do(t, d.client(t)); err != nil || text != told(events) {
		t.Errorf("Do() = %q, %v", text, err)
	}
	if n, _, _ := d.counts(); n != 1 {
		t.Errorf("submitted %d times, want once", n)
	}
}

func TestAStreamThatWasLostIsSubmittedAgainUntilItsFirstEvent(t *testing.T) {
	d := newDaemon(t)
	events := story(3)
	var asked []string
	d.stream = func(s *streamer) {
		asked = append(asked, s.r.Method)
		switch s.n {
		case 1:
			s.drop() // before its headers
		case 2:
			s.raw(": hello\n\n") // before its first event
			s.drop()
		case 3:
			s.send(1, events[0])
			s.drop()
		}
		s.sendAll(events)
	}
	if text, err := do(t, d.client(t)); err != nil || text != told(events) {
		t.Errorf("Do() = %q, %v", text, err)
	}
	if want := []string{"POST", "POST", "POST", "GET"}; !slices.Equal(asked, want) {
		t.Errorf("asked by %v, want %v", asked, want)
	}
	if ids := d.submissions(); slices.ContainsFunc(ids, func(id string) bool { return id != jobID }) {
		t.Errorf("submitted as %q, want the same job each time", ids)
	}
}

func TestDoDoesNotRepeatWhatWasRefused(t *testing.T) {
	for _, refusal := range []*ops.Error{
		ops.Invalid("prompt", "must not be empty").WithHint("say something"),
		ops.Errorf(ops.CodeConflict, "the job id belongs to another operation"),
		ops.Errorf(ops.CodeUnavailable, "the hive is stopping"),
	} {
		t.Run(string(refusal.Code), func(t *testing.T) {
			d := newDaemon(t)
			d.submit = func(_ int, w http.ResponseWriter) { writeJSON(w, refusal.Code.HTTPStatus(), refusal) }
			_, err := do(t, d.client(t))
			e, ok := errors.AsType[*ops.Error](err)
			if !ok || e.Code != refusal.Code || e.Message != refusal.Message || e.Hint != refusal.Hint {
				t.Errorf("Do() = %#v, want %#v", err, refusal)
			}
			if n, cancelled, _ := d.counts(); n != 1 || cancelled != 0 {
				t.Errorf("submitted %d times, want once, and %d times what is no job is cancelled", n, cancelled)
			}
		})
	}
}

func TestWhereNobodyListensDoFailsAtOnce(t *testing.T) {
	began := time.Now()
	c := transport.New(transport.Options{Name: "the queen", BaseURL: "http://127.0.0.1:1"})
	defer c.Close()
	if _, err := do(t, c); !errors.Is(err, transport.ErrUnreachable) || !strings.HasPrefix(err.Error(), "the queen cannot be reached: dial ") {
		t.Errorf("Do() = %v", err)
	}
	if since := time.Since(began); since > c.Patience/2 {
		t.Errorf("it took %s", since)
	}
}
