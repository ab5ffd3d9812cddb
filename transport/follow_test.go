package transport_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// follow reads a job to its end or its error.
func follow(ctx context.Context, c *transport.Client, after uint64) (events []ops.Event, err error) {
	next := after
	for r, err := range c.Follow(ctx, jobID, after) {
		if err != nil {
			return events, err
		}
		if next++; r.ID != next {
			return events, errors.New("events out of order")
		}
		events = append(events, r.Event)
	}
	return events, nil
}

func wantEvents(t *testing.T, got, want []ops.Event, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("after %d events: %v", len(got), err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(ops.Error{})); diff != "" {
		t.Errorf("events differ (-want +got):\n%s", diff)
	}
}

func TestFollowYieldsEachEventOnceAndInOrderFromAServerThat(t *testing.T) {
	events := story(20)
	for name, serve := range map[string]func(*streamer){
		"behaves": func(s *streamer) { s.sendAll(events) },
		"drops the connection every three events": func(s *streamer) {
			for i, e := range events[s.after:] {
				if i == 3 {
					s.drop()
				}
				s.send(s.after+i+1, e)
			}
		},
		"ends the stream cleanly every three events": func(s *streamer) {
			for i, e := range events[s.after:min(s.after+3, len(events))] {
				s.send(s.after+i+1, e)
			}
		},
		"accepts and drops at once": func(s *streamer) {
			if s.n < 3 {
				s.drop()
			}
			s.sendAll(events)
		},
		"sends events again from the first": func(s *streamer) {
			for i, e := range events[:min(s.after+4, len(events))] {
				s.send(i+1, e)
				s.send(i+1, e)
			}
		},
		"sends heartbeats between events": func(s *streamer) {
			for i, e := range events {
				s.raw(": still here\n\n")
				s.send(i+1, e)
				s.raw(": still here\n\n:\n\n")
			}
		},
		"ends within a frame": func(s *streamer) {
			if s.after == len(events)-1 {
				s.sendAll(events)
				return
			}
			s.send(s.after+1, events[s.after])
			text := frame(s.after+2, events[s.after+1])
			s.raw(text[:len(text)-1-s.after%(len(text)-1)]) // each time at another place
		},
		"answers 503 while it restarts": func(s *streamer) {
			if s.n < 4 {
				s.fail(ops.Errorf(ops.CodeUnavailable, "starting"))
				return
			}
			s.sendAll(events)
		},
		"is behind a proxy that answers 502": func(s *streamer) {
			if s.n < 3 {
				http.Error(s.w, "bad gateway", http.StatusBadGateway)
				return
			}
			s.sendAll(events)
		},
		"goes on after the end": func(s *streamer) {
			s.sendAll(events)
			s.send(len(events)+1, ops.TokenEvent{Text: "too late"})
		},
		"does not close the stream after the end": func(s *streamer) {
			s.sendAll(events)
			s.hang()
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t)
			d.stream = serve
			got, err := follow(t.Context(), d.client(t), 0)
			wantEvents(t, got, events, err)
		})
	}
}

func TestFollowBeginsBehindTheEventItIsGiven(t *testing.T) {
	d := newDaemon(t)
	events := story(5)
	d.stream = func(s *streamer) { s.sendAll(events) }
	got, err := follow(t.Context(), d.client(t), 4)
	wantEvents(t, got, events[4:], err)
}

func TestATruncatedErrorMessageIsReadAgainWhole(t *testing.T) {
	d := newDaemon(t)
	events := ending(ops.Errorf(ops.CodeInternal, "the engine died of a long disease"), ops.JobFailed)
	d.stream = func(s *streamer) {
		if s.n == 1 {
			s.send(1, events[0])
			s.raw("id: 2\ndata: [ERROR] the engine died")
			return
		}
		s.sendAll(events)
	}
	got, err := follow(t.Context(), d.client(t), 0)
	wantEvents(t, got, events, err)
}

func TestFollowCarriesEventsOfManyMegabytes(t *testing.T) {
	d := newDaemon(t)
	big := ops.ResultEvent{Raw: json.RawMessage(`"` + strings.Repeat("bee ", 4<<20) + `"`)}
	events := []ops.Event{ops.TokenEvent{Text: "a"}, big, ops.EndEvent{State: ops.JobCompleted}}
	d.stream = func(s *streamer) { s.sendAll(events) }
	got, err := follow(t.Context(), d.client(t), 0)
	if err != nil || len(got) != 3 {
		t.Fatalf("got %d events, %v", len(got), err)
	}
	if r, ok := got[1].(ops.ResultEvent); !ok || string(r.Raw) != string(big.Raw) {
		t.Errorf("the large event differs")
	}
}

func TestFollowEndsAtOnceWhenTheServer(t *testing.T) {
	for name, tt := range map[string]struct {
		serve func(*streamer)
		code  ops.Code
		text  string
	}{
		"does not know the job": {func(s *streamer) { s.fail(ops.Errorf(ops.CodeNotFound, "there is no job %q", jobID)) }, ops.CodeNotFound, "there is no job"},
		"denies it":             {func(s *streamer) { writeJSON(s.w, 401, ops.Errorf(ops.CodeDenied, "a token is wanted")) }, ops.CodeDenied, "a token is wanted"},
		"finds the id wrong":    {func(s *streamer) { s.fail(ops.Invalid("Last-Event-ID", "must be a number")) }, ops.CodeInvalid, "must be a number"},
		"is another program":    {func(s *streamer) { http.NotFound(s.w, s.r) }, ops.CodeInternal, "does not speak rbee's protocol"},
		"sends a web page": {func(s *streamer) {
			s.w.Header().Set("Content-Type", "text/html")
			_, _ = s.w.Write([]byte("<p>hello"))
		}, ops.CodeInternal, "text/html"},
		"redirects":                    {func(s *streamer) { http.Redirect(s.w, s.r, "/elsewhere", http.StatusFound) }, ops.CodeInternal, "it answers 302"},
		"leaves out an event":          {func(s *streamer) { s.send(2, ops.TokenEvent{}); s.hang() }, ops.CodeInternal, "left out events 1 to 1"},
		"numbers events with words":    {func(s *streamer) { s.raw("id: one\nevent: token\ndata: {}\n\n"); s.hang() }, ops.CodeInternal, `the id "one"`},
		"sends an event nobody knows":  {func(s *streamer) { s.raw("id: 1\nevent: dance\ndata: {}\n\n"); s.hang() }, ops.CodeInternal, "dance"},
		"sends an event that is wrong": {func(s *streamer) { s.raw("id: 1\nevent: token\ndata: {\"text\":7}\n\n"); s.hang() }, ops.CodeInternal, "token"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t)
			d.stream = tt.serve
			_, err := follow(t.Context(), d.client(t), 0)
			if ops.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("Follow() = %v (%s), want %q (%s)", err, ops.CodeOf(err), tt.text, tt.code)
			}
			if errors.Is(err, transport.ErrUnreachable) {
				t.Errorf("the error says that nobody answered: %v", err)
			}
			if _, _, n := d.counts(); n != 1 {
				t.Errorf("Follow connected %d times, want once", n)
			}
		})
	}
}

func TestFollowGivesUpWhenItsPatienceEnds(t *testing.T) {
	for name, serve := range map[string]func(*streamer){
		"nobody answers":          func(s *streamer) { s.drop() },
		"the answer never begins": func(s *streamer) { s.hang() },
		"the stream is mute":      func(s *streamer) { s.raw("") },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t)
			d.stream = serve
			var lost atomic.Int32
			c := d.client(t, func(o *transport.Options) {
				o.Patience = 50 * time.Millisecond
				o.OnLost = func(context.Context, error) { lost.Add(1) }
			})
			_, err := follow(t.Context(), c, 0)
			if !errors.Is(err, transport.ErrUnreachable) || ops.CodeOf(err) != ops.CodeUnavailable {
				t.Errorf("Follow() = %v (%s), want ErrUnreachable", err, ops.CodeOf(err))
			}
			if !strings.HasPrefix(err.Error(), "the hive cannot be reached: ") {
				t.Errorf("the error is %q, want it to begin with who cannot be reached", err)
			}
			if lost.Load() != 1 {
				t.Errorf("OnLost was called %d times, want once", lost.Load())
			}
		})
	}
}

func TestASilentStreamIsTakenUpAgain(t *testing.T) {
	d := newDaemon(t)
	events := story(3)
	d.stream = func(s *streamer) {
		if s.n == 1 {
			s.send(1, events[0])
			s.hang()
		}
		s.sendAll(events)
	}
	c := d.client(t, func(o *transport.Options) { o.Silence = 20 * time.Millisecond })
	got, err := follow(t.Context(), c, 0)
	wantEvents(t, got, events, err)
}

func TestPatienceBeginsAnewWheneverSomethingIsHeard(t *testing.T) {
	d := newDaemon(t)
	events := story(3)
	patience := 100 * time.Millisecond
	d.stream = func(s *streamer) {
		if s.n < 4 { // a job that says nothing for longer than the patience
			s.raw(": still here\n\n")
			time.Sleep(patience * 2 / 3)
			s.drop()
		}
		s.sendAll(events)
	}
	c := d.client(t, func(o *transport.Options) { o.Patience = patience })
	got, err := follow(t.Context(), c, 0)
	wantEvents(t, got, events, err)
}

func TestOnLostIsToldOncePerLoss(t *testing.T) {
	d := newDaemon(t)
	events := story(10)
	d.stream = func(s *streamer) {
		switch s.n {
		case 1, 5:
			s.send(s.after+1, events[s.after])
			s.drop()
		case 2, 3, 4:
			s.drop()
		}
		s.sendAll(events)
	}
	var lost atomic.Int32
	c := d.client(t, func(o *transport.Options) { o.OnLost = func(context.Context, error) { lost.Add(1) } })
	got, err := follow(t.Context(), c, 0)
	wantEvents(t, got, events, err)
	if lost.Load() != 2 {
		t.Errorf("OnLost was called %d times, want twice", lost.Load())
	}
}

func TestFollowSurvivesARestartOfTheServer(t *testing.T) {
	events := story(6)
	half := make(chan struct{})
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &streamer{w: w, r: r}
		for i, e := range events[:4] {
			s.send(i+1, e)
		}
		close(half)
		<-r.Context().Done()
	}))
	address := first.Listener.Addr().String()
	lost := make(chan struct{}, 1)
	c := transport.New(transport.Options{BaseURL: first.URL, OnLost: func(context.Context, error) { lost <- struct{}{} }})
	defer c.Close()
	second := make(chan *httptest.Server)
	go func() {
		<-half
		first.CloseClientConnections()
		first.Close()
		<-lost // nobody listens for a while
		l, err := net.Listen("tcp", address)
		if err != nil {
			panic(err)
		}
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := &streamer{w: w, r: r}
			s.after, _ = strconv.Atoi(r.Header.Get("Last-Event-ID"))
			s.sendAll(events)
		}))
		_ = s.Listener.Close()
		s.Listener = l
		s.Start()
		second <- s
	}()
	got, err := follow(t.Context(), c, 0)
	(<-second).Close()
	wantEvents(t, got, events, err)
}

func TestFollowEndsWithTheCauseOfItsContext(t *testing.T) {
	why := errors.New("the person pressed Ctrl-C")
	for name, serve := range map[string]func(*streamer){
		"while the stream is silent":   func(s *streamer) { s.send(1, ops.TokenEvent{Text: "a"}); s.hang() },
		"while the answer is waited":   func(s *streamer) { s.hang() },
		"while it pauses to connect":   func(s *streamer) { s.drop() },
		"while the server is starting": func(s *streamer) { s.fail(ops.Errorf(ops.CodeUnavailable, "starting")) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t)
			d.stream = serve
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				eventually(t, func() bool { _, _, n := d.counts(); return n > 0 })
				time.Sleep(5 * time.Millisecond)
				cancel(why)
			}()
			if _, err := follow(ctx, d.client(t), 0); !errors.Is(err, why) {
				t.Errorf("Follow() = %v, want %v", err, why)
			}
		})
	}
}

func TestAReaderMayLeaveInTheMiddle(t *testing.T) {
	d := newDaemon(t)
	gone := make(chan struct{})
	d.stream = func(s *streamer) {
		defer close(gone)
		s.sendAll(story(3)[:3])
		s.hang()
	}
	for range d.client(t).Follow(t.Context(), jobID, 0) {
		break
	}
	<-gone // the daemon is rid of it too
}

func TestStreamsLeaveTheirConnectionsForTheNextRequest(t *testing.T) {
	d := newDaemon(t)
	d.stream = func(s *streamer) { s.sendAll(story(3)) }
	var dials atomic.Int32
	c := d.client(t, func(o *transport.Options) {
		o.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			dials.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	})
	for range 20 {
		if _, err := transport.Call(t.Context(), c, ops.Infer{Prompt: "Once"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := dials.Load(); n > 3 {
		t.Errorf("20 jobs in turn took %d connections, want them to share", n)
	}
}

func TestAWayThatIsCutForAWhileIsTakenAgain(t *testing.T) {
	d := newDaemon(t)
	events := story(4)
	d.stream = func(s *streamer) {
		if s.n == 1 {
			s.send(1, events[0])
			s.drop()
		}
		s.sendAll(events)
	}
	dials := 0
	c := d.client(t, func(o *transport.Options) {
		o.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			switch dials++; dials {
			case 2:
				return nil, ops.Errorf(ops.CodeTimeout, "the connection was lost: no answer for 10s")
			case 3:
				return nil, ops.Errorf(ops.CodeUnavailable, "the machine cannot be reached")
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	})
	if text, err := do(t, c); err != nil || text != told(events) {
		t.Errorf("Do() = %q, %v", text, err)
	}
	if dials < 4 {
		t.Errorf("dialled %d times", dials)
	}
}
