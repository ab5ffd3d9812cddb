package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

func TestAStreamMayBreakAtAnyByte(t *testing.T) {
	events := []ops.Event{
		ops.TokenEvent{Text: "é\n: 1"},
		ops.ErrorEvent{Error: ops.Error{Code: ops.CodeInternal, Message: "it broke"}},
		ops.EndEvent{State: ops.JobFailed, Message: "it broke in many words"},
	}
	var whole strings.Builder
	for i, e := range events {
		whole.WriteString(": still here\n\n" + frame(i+1, e))
	}
	text := whole.String()
	d := newDaemon(t)
	var broken sync.Map // jobs whose stream broke already
	d.stream = func(s *streamer) {
		id := s.r.PathValue("id")
		if _, again := broken.LoadOrStore(id, true); again {
			s.sendAll(events)
			return
		}
		cut, _ := strconv.Atoi(id)
		s.raw(text[:cut])
		if cut%2 == 0 {
			s.drop()
		}
	}
	c := d.client(t)
	var wait sync.WaitGroup
	for cut := range len(text) {
		wait.Go(func() {
			var got []ops.Event
			for r, err := range c.Follow(t.Context(), fmt.Sprintf("%016d", cut), 0) {
				if err != nil {
					t.Errorf("broken after %d bytes: %v", cut, err)
					return
				}
				got = append(got, r.Event)
			}
			if diff := cmp.Diff(events, got, cmp.AllowUnexported(ops.Error{})); diff != "" {
				t.Errorf("broken after %d bytes, events differ (-want +got):\n%s", cut, diff)
			}
		})
	}
	wait.Wait()
}

// FuzzFollow sends anything as a stream. Follow yields events in order, then
// an error or the end, whatever comes.
func FuzzFollow(f *testing.F) {
	f.Add("")
	f.Add(": still here\n\n")
	f.Add(frame(1, ops.TokenEvent{Text: "a"}) + frame(2, ops.EndEvent{State: ops.JobCompleted}))
	f.Add(frame(2, ops.TokenEvent{Text: "a"}))
	f.Add("id: 1\r\nevent: token\r\ndata: {\"text\":\"a\"}\r\n\r\nid: 2\r\ndata: [DONE]\r\n\r\n")
	f.Add("id: 1\ndata\n\nretry: torn\n\n\x00\xff")
	f.Add("data: {}\n\nid: 1\nid: 2\nevent: \ndata: [ERROR]\ndata: more\n\n")
	var text atomic.Value // a request of the input before may still be under way
	text.Store("")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, text.Load().(string))
	}))
	f.Cleanup(server.Close)
	c := transport.New(transport.Options{BaseURL: server.URL, Patience: time.Nanosecond})
	f.Cleanup(c.Close)
	f.Fuzz(func(t *testing.T, input string) {
		text.Store(input)
		// Bytes that come count as contact, so this would go on for ever.
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		var last uint64
		ended := false
		for r, err := range c.Follow(ctx, jobID, 0) {
			if ended {
				t.Fatal("something came behind the end")
			}
			if err != nil {
				ended = true
				continue
			}
			if last++; r.ID != last {
				t.Fatalf("event %d came as number %d", r.ID, last)
			}
			_, ended = r.Event.(ops.EndEvent)
		}
		if !ended {
			t.Fatal("neither the last event nor an error came")
		}
	})
}

// TestAnAnswerThatIsCutAnywhereIsNoAnswer: whatever of it has come, the caller is
// told that there was none, in words, and that the daemon may be asked again.
func TestAnAnswerThatIsCutAnywhereIsNoAnswer(t *testing.T) {
	const whole = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{\"jobs\": [], \"\": 1}"
	for _, cut := range []int{0, 1, 9, 30, len(whole) - 19, len(whole) - 18, len(whole) - 2} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, whole[:cut])
			_ = conn.Close()
		}))
		c := transport.New(transport.Options{Name: "the queen", BaseURL: server.URL, Hint: "look at its log"})
		_, err := c.Jobs(t.Context())
		e := ops.AsError(err)
		if !errors.Is(err, transport.ErrUnreachable) || e.Hint != "look at its log" || strings.Contains(err.Error(), "EOF") || !strings.HasPrefix(err.Error(), "the queen cannot be reached: ") {
			t.Errorf("cut after %d bytes: %v (%+v)", cut, err, e)
		}
		c.Close()
		server.Close()
	}
}
