package relay_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/relay"
)

// pair is the two ends of a TCP connection.
func pair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = dialled.Close()
		_ = accepted.Close()
	})
	return dialled.(*net.TCPConn), accepted.(*net.TCPConn)
}

// daemon serves h over TCP, and returns how to connect with it.
func daemon(t *testing.T, h http.HandlerFunc) func() net.Conn {
	t.Helper()
	var handlers sync.WaitGroup // no server waits for those that take over
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers.Add(1)
		defer handlers.Done()
		h(w, r)
	}))
	t.Cleanup(func() {
		s.Close()
		handlers.Wait()
	})
	return func() net.Conn {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

// held is a session whose streams lead where dial says.
func held(t *testing.T, dial func(context.Context, int) (relay.Conn, error)) (*relay.Session, context.CancelFunc) {
	t.Helper()
	begun := make(chan *relay.Session, 1)
	connect := daemon(t, func(w http.ResponseWriter, r *http.Request) {
		conn, err := relay.Accept(w, r)
		if err != nil {
			t.Error(err)
			return
		}
		s, err := relay.NewSession(conn)
		if err != nil {
			t.Error(err)
			return
		}
		begun <- s
		<-s.Done()
	})
	conn, err := relay.Upgrade(t.Context(), connect(), relay.SessionPath)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = relay.Serve(ctx, conn, dial) // its error is that of ctx
	}()
	s := <-begun
	t.Cleanup(func() {
		cancel()
		<-served
		_ = s.Close()
	})
	return s, cancel
}

func TestBytesGoBothWaysAndEachDirectionEndsByItself(t *testing.T) {
	engine, behind := pair(t)
	s, _ := held(t, func(_ context.Context, part int) (relay.Conn, error) {
		if part != 3 {
			t.Errorf("asked for part %d", part)
		}
		return behind, nil
	})
	far, err := s.Open(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	client, near := pair(t)
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		relay.Join(near, far, func() { t.Error("the far side is said to have ended first") })
	}()

	const size = 16 << 20 // more than all buffers on the way
	chacha := rand.NewChaCha8([32]byte{1})
	sent := make([]byte, size)
	_, _ = chacha.Read(sent)
	go func() {
		if _, err := client.Write(sent); err != nil {
			t.Error(err)
		}
		_ = client.CloseWrite()
	}()
	// The engine answers only once it has heard everything.
	got, err := io.ReadAll(engine)
	if err != nil || sha256.Sum256(got) != sha256.Sum256(sent) {
		t.Fatalf("%d bytes of %d arrived, %v", len(got), size, err)
	}
	go func() {
		_, _ = engine.Write(got)
		_ = engine.Close()
	}()
	if back, err := io.ReadAll(client); err != nil || !bytes.Equal(back, sent) {
		t.Errorf("%d bytes of %d came back, %v", len(back), size, err)
	}
	<-joined
}

func TestAnEngineThatEndsFirstIsBlamedBeforeTheNearSideHears(t *testing.T) {
	engine, behind := pair(t)
	s, _ := held(t, func(context.Context, int) (relay.Conn, error) { return behind, nil })
	far, err := s.Open(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	client, near := pair(t)
	var blamed atomic.Bool
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		relay.Join(near, far, func() { blamed.Store(true) })
	}()
	_ = engine.SetLinger(0) // as a process that was killed
	_ = engine.Close()
	if _, err := io.ReadAll(client); err == nil && !blamed.Load() {
		t.Error("the near side heard of the end before anybody was blamed")
	}
	_ = client.Close()
	<-joined
}

func TestWhoWritesToAnEngineThatEndedLearnsOfIt(t *testing.T) {
	engine, behind := pair(t)
	s, _ := held(t, func(context.Context, int) (relay.Conn, error) { return behind, nil })
	far, err := s.Open(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	client, near := pair(t)
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		relay.Join(near, far, nil)
	}()
	_ = engine.Close()
	chunk := make([]byte, 1<<20)
	for range 1000 { // it never reads, as an engine that sends weights
		if _, err = client.Write(chunk); err != nil {
			break
		}
	}
	if err == nil {
		t.Error("a gigabyte was written to nobody")
	}
	<-joined
}

func TestAPartThatCannotBeReachedSaysWhy(t *testing.T) {
	s, _ := held(t, func(context.Context, int) (relay.Conn, error) {
		return nil, ops.Errorf(ops.CodeUnavailable, "the hive gpu2 is down: no route to host")
	})
	if _, err := s.Open(t.Context(), 0); ops.CodeOf(err) != ops.CodeUnavailable || !strings.Contains(err.Error(), "the hive gpu2 is down: no route to host") {
		t.Errorf("it says %v", err)
	}
}

func TestTheEndOfASessionEndsItsStreams(t *testing.T) {
	engine, behind := pair(t)
	s, cancel := held(t, func(context.Context, int) (relay.Conn, error) { return behind, nil })
	far, err := s.Open(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	cancel() // the queen ends
	if _, err := io.ReadAll(far); err != nil && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the stream ends with %v", err)
	}
	if _, err := io.ReadAll(engine); err != nil {
		t.Errorf("the engine's connection ends with %v", err)
	}
	<-s.Done()
	if _, err := s.Open(t.Context(), 0); ops.CodeOf(err) != ops.CodeUnavailable {
		t.Errorf("another stream: %v", err)
	}
}

func TestOpeningIsGivenUpWithItsContext(t *testing.T) {
	hangs := make(chan struct{})
	s, _ := held(t, func(ctx context.Context, _ int) (relay.Conn, error) {
		close(hangs)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	go func() {
		<-hangs
		cancel(why)
	}()
	if _, err := s.Open(ctx, 0); !errors.Is(err, why) {
		t.Errorf("it says %v", err)
	}
}

func TestARefusalKeepsItsWords(t *testing.T) {
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		says    string
	}{
		{"of a worker", func(w http.ResponseWriter, _ *http.Request) {
			relay.Refuse(w, ops.Errorf(ops.CodeNotFound, "there is no such part"))
		}, "there is no such part"},
		{"of something else", http.NotFound, "404"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := relay.Upgrade(t.Context(), daemon(t, c.handler)(), relay.PartPath); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %v", err)
			}
		})
	}
	plain := daemon(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := relay.Accept(w, r); ops.CodeOf(err) != ops.CodeInvalid {
			t.Errorf("a plain request: %v", err)
		}
	})
	conn := plain()
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || !bytes.Contains(answer, []byte("400")) {
		t.Errorf("answered with %s, %v", answer, err)
	}
}
