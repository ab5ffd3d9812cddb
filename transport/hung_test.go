package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// patient answers as soon as a daemon is found to hang.
func patient(o *transport.Options) {
	o.Name, o.Answer, o.Patience, o.HungHint = "the hive", 30*time.Millisecond, time.Hour, "end it"
}

// requests are the ways to ask.
var requests = map[string]func(context.Context, *transport.Client) error{
	"a job": func(ctx context.Context, c *transport.Client) error {
		_, err := c.Do(ctx, ops.Status{}, jobID, func(transport.Received) error { return nil })
		return err
	},
	"a submission": func(ctx context.Context, c *transport.Client) error {
		_, err := c.Submit(ctx, ops.Status{}, jobID)
		return err
	},
	"a stream": func(ctx context.Context, c *transport.Client) error {
		for _, err := range c.Follow(ctx, jobID, 0) {
			return err
		}
		return nil
	},
	"the state": func(ctx context.Context, c *transport.Client) (last error) {
		for _, err := range c.State(ctx) {
			last = err
		}
		return last
	},
	"a list": func(ctx context.Context, c *transport.Client) error {
		_, err := c.Jobs(ctx)
		return err
	},
	"an answer as it comes": func(ctx context.Context, c *transport.Client) error {
		body, _, err := c.Open(ctx, "/v1/chat/completions", nil)
		if err != nil {
			return err
		}
		_, err = io.ReadAll(body)
		return errors.Join(err, body.Close())
	},
}

// TestADaemonThatHangsIsFoundOut: it is stopped, so that the system takes
// connections for it and nobody answers.
func TestADaemonThatHangsIsFoundOut(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, ask := range requests {
		t.Run(name, func(t *testing.T) {
			o := transport.Options{BaseURL: "http://" + l.Addr().String()}
			patient(&o)
			c := transport.New(o)
			defer c.Close()
			err := ask(t.Context(), c)
			e := ops.AsError(err)
			if !errors.Is(err, transport.ErrHung) || !errors.Is(err, transport.ErrUnreachable) || e.Code != ops.CodeUnavailable {
				t.Fatalf("it is %v", err)
			}
			if e.Message != "the hive does not answer" || e.Hint != "end it" {
				t.Errorf("it says %q, %q", e.Message, e.Hint)
			}
		})
	}
}

// TestADaemonThatHangsInTheMiddleIsFoundOut: it has said something before.
func TestADaemonThatHangsInTheMiddleIsFoundOut(t *testing.T) {
	hung := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/state/stream") || strings.HasSuffix(r.URL.Path, "/completions") {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: {}\n\n")
			_ = http.NewResponseController(w).Flush()
		}
		<-hung
	}))
	defer s.Close()
	defer close(hung)
	for _, name := range []string{"the state", "an answer as it comes"} {
		o := transport.Options{BaseURL: s.URL}
		patient(&o)
		c := transport.New(o)
		defer c.Close()
		if err := requests[name](t.Context(), c); !errors.Is(err, transport.ErrHung) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestADaemonThatTakesLongAndIsThereIsWaitedFor: it says that it is well before it
// answers.
func TestADaemonThatTakesLongAndIsThereIsWaitedFor(t *testing.T) {
	var once sync.Once
	asked := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			once.Do(func() { close(asked) })
			writeJSON(w, http.StatusOK, ops.Health{Status: "ok"})
			return
		}
		<-asked
		writeJSON(w, http.StatusOK, ops.Jobs{Jobs: []ops.Job{{ID: jobID}}})
	}))
	defer s.Close()
	o := transport.Options{BaseURL: s.URL}
	patient(&o)
	o.Answer = 2 * time.Second
	c := transport.New(o)
	defer c.Close()
	if list, err := c.Jobs(t.Context()); err != nil || len(list.Jobs) != 1 {
		t.Errorf("it says %+v, %v", list, err)
	}
}

// TestWhoIsNotThereDoesNotHang: a connection that cannot be made is no daemon that
// hangs, however long it takes.
func TestWhoIsNotThereDoesNotHang(t *testing.T) {
	o := transport.Options{BaseURL: "http://127.0.0.1:1", DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond): // longer than it may take to answer, twice
		}
		return nil, errors.New("no way there")
	}}
	patient(&o)
	c := transport.New(o)
	defer c.Close()
	if err := requests["a job"](t.Context(), c); errors.Is(err, transport.ErrHung) || err == nil || !strings.Contains(err.Error(), "no way there") {
		t.Errorf("it is %v", err)
	}
}

// TestADaemonDoesNotHangWhoseWayIsBlocked: not as long as it is, as that over a
// connection that was cut.
func TestADaemonDoesNotHangWhoseWayIsBlocked(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := transport.Options{BaseURL: "http://" + l.Addr().String()}
	patient(&o)
	var looked int // by one after the other
	o.Reaches = func(context.Context) bool {
		looked++
		return looked == 3
	}
	c := transport.New(o)
	defer c.Close()
	if _, err := c.Jobs(t.Context()); !errors.Is(err, transport.ErrHung) || looked != 3 {
		t.Errorf("it is %v after %d looks", err, looked)
	}
}
