// Package jobtest runs real job servers for the tests of other packages: a
// [job.Server] behind a listener of its own, that can be restarted as a daemon
// is. It knows no operation: what a test wants done it gives as a function.
package jobtest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
)

// Server is a running job server. It ends with its test.
type Server[O ops.Op] struct {
	*job.Server[O]
	// URL is where it is reached, without a slash at the end. A server on a
	// socket has http://localhost, for a client that dials Socket.
	URL string
	// Socket is the path of its Unix socket, or "".
	Socket string
	// Options are what it was made with; a restart uses them again.
	Options job.Options[O]

	t       testing.TB
	address net.Addr
	http    *http.Server
	served  chan struct{} // closed when the listener is; nil when it does not serve
}

// Serve starts a server on a loopback port that does its operations by run.
// Each change may adjust its options.
func Serve[O ops.Op](t testing.TB, run func(context.Context, O) (any, error), change ...func(*job.Options[O])) *Server[O] {
	t.Helper()
	s := newServer(t, run, change)
	s.listen("tcp", "127.0.0.1:0")
	s.URL = "http://" + s.address.String()
	return s
}

// ServeUnix is [Serve] on a Unix socket.
func ServeUnix[O ops.Op](t testing.TB, run func(context.Context, O) (any, error), change ...func(*job.Options[O])) *Server[O] {
	t.Helper()
	s := newServer(t, run, change)
	dir, err := os.MkdirTemp("", "job") //nolint:usetesting // a test's own folder may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s.Socket, s.URL = filepath.Join(dir, "s"), "http://localhost"
	s.listen("unix", s.Socket)
	return s
}

func newServer[O ops.Op](t testing.TB, run func(context.Context, O) (any, error), change []func(*job.Options[O])) *Server[O] {
	t.Helper()
	s := &Server[O]{t: t, Options: job.Options[O]{
		Mode: "test", Version: "0", Build: "test", Run: run, Dir: t.TempDir(), Log: zerolog.Nop(),
	}}
	for _, f := range change {
		f(&s.Options)
	}
	return s
}

// listen makes the job server and serves it.
func (s *Server[O]) listen(network, address string) {
	s.t.Helper()
	var err error
	if s.Server, err = job.NewServer(s.Options); err != nil {
		s.t.Fatal(err)
	}
	var config net.ListenConfig
	l, err := config.Listen(s.t.Context(), network, address)
	if err != nil {
		s.t.Fatal(err)
	}
	server, served := &http.Server{Handler: s.Server, ReadHeaderTimeout: time.Minute}, make(chan struct{})
	s.address, s.http, s.served = l.Addr(), server, served
	go func() { // ends when hangUp closes the listener
		defer close(served)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.t.Error(err)
		}
	}()
	s.t.Cleanup(s.Close)
}

// patience bounds how long the work of a test's jobs may take to end.
const patience = 20 * time.Second

// Close ends the server as a daemon that stops does: its jobs are cancelled.
func (s *Server[O]) Close() {
	s.t.Helper()
	s.shut((*job.Server[O]).Stop)
}

// Restart replaces the server as a restarted daemon replaces itself: on the same
// address, over the same folder. The new one does its operations by run.
func (s *Server[O]) Restart(run func(context.Context, O) (any, error)) {
	s.t.Helper()
	s.shut((*job.Server[O]).Detach)
	s.Options.Run = run
	s.listen(s.address.Network(), s.address.String())
}

func (s *Server[O]) shut(end func(*job.Server[O], context.Context) error) {
	s.t.Helper()
	if s.served == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := end(s.Server, ctx); err != nil {
		s.t.Error(err)
	}
	s.hangUp()
}

// hangUp closes the listener, and the connections once they are done with or a
// second has gone by.
func (s *Server[O]) hangUp() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		if err := s.http.Close(); err != nil {
			s.t.Error(err)
		}
	}
	<-s.served
	s.served = nil
}
