package gateway

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// newConns are connections to one server, and a count of those that were made.
func newConns(t *testing.T, addr string) (*conns, *atomic.Int32) {
	t.Helper()
	made := new(atomic.Int32)
	s := &conns{dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		made.Add(1)
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}}
	t.Cleanup(s.close)
	return s, made
}

// post asks for the path and returns the answer's status and text.
func (s *conns) post(t *testing.T, path string, body []byte) (int, string, error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, nil)
	answer, err := s.ask(t.Context(), key{Hive: "h", Worker: "w"}, r, body)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

// echo is a server that answers with what it was asked.
func echo(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Query().Has("chunked") {
			_ = http.NewResponseController(w).Flush()
		}
		fmt.Fprintf(w, "%s %s %d", r.Method, r.URL, len(body))
	}))
	t.Cleanup(s.Close)
	return s
}

func TestAConnectionIsKeptForTheNextRequest(t *testing.T) {
	server := echo(t)
	s, made := newConns(t, server.Listener.Addr().String())
	for _, tt := range []struct {
		path string
		size int
	}{{"/a?b=c%20d", 0}, {"/a", 3}, {"/a?chunked", 10}, {"/a%2Fb", 1 << 20}, {"/a?chunked", 100_000}} {
		status, text, err := s.post(t, tt.path, bytes.Repeat([]byte("x"), tt.size))
		if want := fmt.Sprintf("POST %s %d", tt.path, tt.size); err != nil || status != 200 || text != want {
			t.Errorf("%d %q %v, want %q", status, text, err, want)
		}
	}
	if made.Load() != 1 {
		t.Errorf("%d connections were made", made.Load())
	}
}

func TestAKeptConnectionThatTheOtherSideClosedIsReplaced(t *testing.T) {
	server := echo(t)
	s, made := newConns(t, server.Listener.Addr().String())
	for range 3 {
		if _, _, err := s.post(t, "/", nil); err != nil {
			t.Fatal(err)
		}
		server.CloseClientConnections()
	}
	if made.Load() != 3 {
		t.Errorf("%d connections were made", made.Load())
	}
}

func TestAnAnswerThatIsNotReadToItsEndGivesNoConnectionBack(t *testing.T) {
	server := echo(t)
	s, made := newConns(t, server.Listener.Addr().String())
	for range 2 {
		answer, err := s.ask(t.Context(), key{}, httptest.NewRequest(http.MethodPost, "/", nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
	}
	if made.Load() != 2 {
		t.Errorf("%d connections were made", made.Load())
	}
}

// raw is a server that says the same whatever it is asked, after it has read so
// many bytes, and then closes.
func raw(t *testing.T, says string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(c).ReadString('\n')
			_, _ = io.WriteString(c, says)
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, io.LimitReader(c, 1<<16))
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-over })
	return l.Addr().String()
}

func TestWhatServersMaySay(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		size       int
		status     int
		text       string
	}{
		{"an answer after an interim one", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 3, 200, "ok"},
		{"an answer to the connection's end", "HTTP/1.0 200 OK\r\n\r\nok", 3, 200, "ok"},
		{"a refusal before the body is read", "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno", 8 << 20, 413, "no"},
		{"nothing", "", 3, 0, ""},
		{"no HTTP", "hello\r\n\r\n", 3, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newConns(t, raw(t, tt.says))
			status, text, err := s.post(t, "/", make([]byte, tt.size))
			if (err != nil) != (tt.status == 0) || status != tt.status || text != tt.text {
				t.Errorf("%d %q %v", status, text, err)
			}
			if len(s.idle) > 0 {
				t.Error("a connection that was closed is kept")
			}
		})
	}
}

func TestARequestThatIsGivenUpClosesItsConnection(t *testing.T) {
	gone := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/begun" {
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		gone <- struct{}{}
	}))
	defer server.Close()
	s, _ := newConns(t, server.Listener.Addr().String())
	for _, path := range []string{"/silent", "/begun"} {
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequest(http.MethodPost, path, nil)
		if path == "/silent" {
			time.AfterFunc(10*time.Millisecond, cancel)
		}
		answer, err := s.ask(ctx, key{}, r, nil)
		if path == "/begun" {
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			_, err = io.ReadAll(answer.Body)
			_ = answer.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: it was answered", path)
		}
		<-gone
		cancel()
	}
}

func TestConnectionsThatAreIdleForLongAreClosed(t *testing.T) {
	server := echo(t)
	s, made := newConns(t, server.Listener.Addr().String())
	if _, _, err := s.post(t, "/", nil); err != nil {
		t.Fatal(err)
	}
	for _, old := range []bool{false, true} {
		if old {
			s.idle[key{Hive: "h", Worker: "w"}][0].since = time.Now().Add(-2 * idleWithin)
		}
		s.drop()
		if kept := len(s.idle) == 1; kept == old {
			t.Errorf("an old one: %t, kept: %t", old, kept)
		}
	}
	if _, _, err := s.post(t, "/", nil); err != nil || made.Load() != 2 {
		t.Errorf("%d connections were made, %v", made.Load(), err)
	}
	s.close()
	if _, _, err := s.post(t, "/", nil); err == nil || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("after the end: %v", err)
	}
}
