package ssh_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/yamux"

	"rbee.dev/rbee/transport/ssh"
)

// farSide serves a pipe in this process; it returns the near end of the
// multiplexer and what ServePipe returned.
func farSide(t *testing.T, ctx context.Context, dial func(context.Context, string) (net.Conn, error)) (*yamux.Session, <-chan error) {
	t.Helper()
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- ssh.ServePipe(ctx, far, dial) }()
	config := yamux.DefaultConfig()
	config.LogOutput, config.EnableKeepAlive = io.Discard, false
	mux, err := yamux.Client(near, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mux.Close() })
	return mux, served
}

// ask opens a stream, sends bytes and reads so many back.
func ask(t *testing.T, mux *yamux.Session, sent string, n int) (*yamux.Stream, []byte, error) {
	t.Helper()
	s, err := mux.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(s, sent); err != nil {
		t.Fatal(err)
	}
	if err := s.SetDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, n)
	read, err := io.ReadFull(s, got)
	return s, got[:read], err
}

func TestAPipeEndsWithItsOtherSide(t *testing.T) {
	mux, served := farSide(t, within(t), dialUnix)
	path := listen(t, echo)
	s, got, err := ask(t, mux, "\x00"+string(rune(len(path)))+path+"\x00\x04ping", 3+2+4)
	if err != nil || string(got) != "\x00\x00\x00\x00\x04ping" {
		t.Fatalf("got %q, %v", got, err)
	}
	defer func() { _ = s.Close() }()
	_ = mux.Close() // with a stream in use
	if err := <-served; err != nil {
		t.Errorf("ServePipe() = %v", err)
	}
}

func TestAPipeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(within(t))
	dialling := make(chan struct{})
	mux, served := farSide(t, ctx, func(ctx context.Context, _ string) (net.Conn, error) {
		close(dialling)
		<-ctx.Done() // a dial that hangs ends too
		return nil, ctx.Err()
	})
	s, err := mux.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err := io.WriteString(s, "\x00\x01x"); err != nil {
		t.Fatal(err)
	}
	<-dialling
	reason := errors.New("shutting down")
	cancel(reason)
	if err := <-served; !errors.Is(err, reason) {
		t.Errorf("ServePipe() = %v, want %v", err, reason)
	}
}

func TestAPipeTellsWhyADialFailed(t *testing.T) {
	why := errors.New("the moon is full")
	mux, _ := farSide(t, within(t), func(context.Context, string) (net.Conn, error) { return nil, why })
	s, got, err := ask(t, mux, "\x00\x01x", 3+len(why.Error()))
	if err != nil || string(got[3:]) != why.Error() || got[0] == 0 {
		t.Errorf("got %q, %v; want a status and %q", got, err, why)
	}
	_ = s.Close()
}

func TestAPipeRefusesWhatIsNoPath(t *testing.T) {
	mux, _ := farSide(t, within(t), func(context.Context, string) (net.Conn, error) {
		t.Error("something was dialled")
		return nil, errors.ErrUnsupported
	})
	for _, header := range []string{"\x00\x00", "\xff\xff"} {
		s, got, err := ask(t, mux, header, 1)
		if err == nil {
			t.Errorf("%q was answered with %q", header, got)
		}
		_ = s.Close()
	}
}
