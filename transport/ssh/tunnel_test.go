package ssh_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
	"rbee.dev/rbee/transport/ssh/sshtest"
)

// ways are the two that lead to a socket.
var ways = map[string]xssh.RejectionReason{
	"by the server":                 0,
	"by the pipe":                   xssh.Prohibited,
	"by the pipe, without a reason": xssh.ConnectionFailed,
}

// tunnelTo connects to a server that has a pipe to fall back to.
func tunnelTo(t *testing.T, refuse xssh.RejectionReason) (*ssh.Conn, *sshtest.Server) {
	t.Helper()
	a := newAccount(t)
	s := a.server(t, sshtest.Options{RefuseSockets: refuse, Noise: "Welcome!\n"})
	o := a.options()
	o.Pipe = pipeCommand()
	return connect(t, s, o), s
}

// listen serves each connection to a new Unix socket, until the test ends.
func listen(t *testing.T, serve func(*net.UnixConn)) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tunnel") //nolint:usetesting // a short path
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "test.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer func() { _ = c.Close() }()
				serve(c.(*net.UnixConn))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		work.Wait()
		_ = os.RemoveAll(dir)
	})
	return path
}

func echo(c *net.UnixConn) {
	_, _ = io.Copy(c, c)
	_ = c.CloseWrite()
}

func dial(t *testing.T, c *ssh.Conn, path string) net.Conn {
	t.Helper()
	conn, err := c.DialContext(within(t), path)
	if err != nil {
		t.Fatalf("DialContext: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func closeWrite(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

func eachWay(t *testing.T, f func(t *testing.T, refuse xssh.RejectionReason)) {
	t.Helper()
	for name, refuse := range ways {
		t.Run(name, func(t *testing.T) { f(t, refuse) })
	}
}

func TestASocketIsSpokenWith(t *testing.T) {
	eachWay(t, func(t *testing.T, refuse xssh.RejectionReason) {
		c, s := tunnelTo(t, refuse)
		path := listen(t, echo)
		sent := make([]byte, 3<<20)
		_, _ = rand.Read(sent)
		for range 3 {
			conn := dial(t, c, path)
			wrote := make(chan error, 1)
			go func() {
				_, err := conn.Write(sent)
				wrote <- errors.Join(err, conn.(interface{ CloseWrite() error }).CloseWrite())
			}()
			got, err := io.ReadAll(conn)
			if err != nil || !bytes.Equal(got, sent) {
				t.Fatalf("got %d bytes back (%v), want the %d sent", len(got), err, len(sent))
			}
			if err := <-wrote; err != nil {
				t.Error(err)
			}
			_ = conn.Close()
			if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) && refuse == 0 {
				t.Errorf("a closed connection reads %v", err)
			}
		}
		if refuse != 0 && s.Sessions() != 1 {
			t.Errorf("there are %d sessions, want one pipe", s.Sessions())
		}
		if asked := s.Sockets(); refuse == xssh.Prohibited && asked != 1 {
			t.Errorf("the server was asked for sockets %d times, want once", asked)
		}
	})
}

func TestAHalfThatIsClosedLeavesTheOther(t *testing.T) {
	eachWay(t, func(t *testing.T, refuse xssh.RejectionReason) {
		c, _ := tunnelTo(t, refuse)
		conn := dial(t, c, listen(t, func(u *net.UnixConn) {
			question, _ := io.ReadAll(u)
			_, _ = u.Write([]byte("you said " + string(question)))
		}))
		if _, err := io.WriteString(conn, "hello"); err != nil {
			t.Fatal(err)
		}
		closeWrite(t, conn)
		got, err := io.ReadAll(conn)
		if err != nil || string(got) != "you said hello" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestClosingReachesTheSocket(t *testing.T) {
	eachWay(t, func(t *testing.T, refuse xssh.RejectionReason) {
		c, _ := tunnelTo(t, refuse)
		gone := make(chan struct{})
		conn := dial(t, c, listen(t, func(u *net.UnixConn) {
			defer close(gone)
			for { // talk until it fails, though nobody reads
				if _, err := u.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		}))
		if _, err := io.ReadFull(conn, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		select {
		case <-gone:
		case <-within(t).Done():
			t.Error("the socket is still spoken to")
		}
	})
}

func TestASlowReaderHoldsUpNobodyElse(t *testing.T) {
	eachWay(t, func(t *testing.T, refuse xssh.RejectionReason) {
		c, _ := tunnelTo(t, refuse)
		slow := dial(t, c, listen(t, func(u *net.UnixConn) { _, _ = io.Copy(u, io.LimitReader(zeros{}, 64<<20)) }))
		if _, err := io.ReadFull(slow, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		quick := dial(t, c, listen(t, echo))
		for range 100 {
			if _, err := quick.Write([]byte("ping")); err != nil {
				t.Fatal(err)
			}
			if err := quick.SetReadDeadline(time.Now().Add(soon)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(quick, make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestDeadlinesWork(t *testing.T) {
	eachWay(t, func(t *testing.T, refuse xssh.RejectionReason) {
		c, _ := tunnelTo(t, refuse)
		conn := dial(t, c, listen(t, echo))
		for name, move := range map[string]func(){
			"passed before": func() { _ = conn.SetReadDeadline(time.Now().Add(-time.Second)) },
			"passes soon":   func() { _ = conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) },
			"of both":       func() { _ = conn.SetDeadline(time.Now().Add(10 * time.Millisecond)) },
			"set meanwhile": func() {
				time.AfterFunc(10*time.Millisecond, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
			},
		} {
			move()
			_, err := conn.Read(make([]byte, 1))
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%s: Read() = %v, want a deadline", name, err)
			}
			if err := conn.SetDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			// What comes after a deadline was taken away is read.
			if _, err := io.WriteString(conn, name); err != nil {
				t.Fatal(err)
			}
			back := make([]byte, len(name))
			if _, err := io.ReadFull(conn, back); err != nil || string(back) != name {
				t.Fatalf("%s: got %q, %v back", name, back, err)
			}
		}
	})
}

func TestAWriteNobodyTakesEndsAtItsDeadline(t *testing.T) {
	eachWay(t, func(t *testing.T, refuse xssh.RejectionReason) {
		c, _ := tunnelTo(t, refuse)
		over := make(chan struct{})
		defer close(over)
		conn := dial(t, c, listen(t, func(*net.UnixConn) { <-over }))
		if err := conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write() = %v, want a deadline", err)
		}
	})
}

func TestASocketThatIsNotThereIsAClearError(t *testing.T) {
	dead := filepath.Join(t.TempDir(), "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	absent := filepath.Join(t.TempDir(), "absent.sock")
	eachWay(t, func(t *testing.T, refuse xssh.RejectionReason) {
		c, _ := tunnelTo(t, refuse)
		for range 2 {
			_, err := c.DialContext(within(t), absent)
			wantError(t, err, ops.CodeUnavailable, "there is no such socket")
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v is not fs.ErrNotExist", err)
			}
			_, err = c.DialContext(within(t), dead)
			wantError(t, err, ops.CodeUnavailable, "nobody listens")
			if !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%v is not ECONNREFUSED", err)
			}
		}
		_ = dial(t, c, listen(t, echo)) // and the next works
	})
}

func TestAnAbsentSocketIsNotTakenForARefusal(t *testing.T) {
	c, s := tunnelTo(t, 0)
	if _, err := c.DialContext(within(t), "/no/such.sock"); err == nil {
		t.Fatal("there is a socket")
	}
	before := s.Sockets()
	_ = dial(t, c, listen(t, echo))
	if s.Sockets() != before+1 {
		t.Error("the server was not asked for the next socket")
	}
}

func TestWithoutAPipeARefusalIsAClearError(t *testing.T) {
	for reason, code := range map[xssh.RejectionReason]ops.Code{
		xssh.ConnectionFailed: ops.CodeUnavailable, xssh.Prohibited: ops.CodeDenied, xssh.UnknownChannelType: ops.CodeDenied,
	} {
		c, _ := to(t, sshtest.Options{RefuseSockets: reason})
		_, err := c.DialContext(within(t), "/x.sock")
		wantError(t, err, code, "forward sockets")
	}
}

func TestAPipeThatDoesNotWorkIsAClearError(t *testing.T) {
	for name, pipe := range map[string]ssh.Command{
		"not installed": {Argv: []string{"/no/such/rbee", "hive", "pipe"}},
		"another thing": {Argv: []string{"echo", "I am no pipe"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			s := a.server(t, sshtest.Options{RefuseSockets: xssh.ConnectionFailed})
			o := a.options()
			o.Pipe = pipe
			c := connect(t, s, o)
			for range 2 {
				_, err := c.DialContext(within(t), "/x.sock")
				wantError(t, err, ops.CodeUnavailable, "does not work")
			}
		})
	}
}

func TestADialToADeadMachineEndsWithItsContext(t *testing.T) {
	eachWay(t, func(t *testing.T, refuse xssh.RejectionReason) {
		c, s := tunnelTo(t, refuse)
		path := listen(t, echo)
		_ = dial(t, c, path)
		s.Freeze()
		defer s.Thaw() // the other end is to close as well
		ctx, cancel := context.WithTimeout(within(t), 50*time.Millisecond)
		defer cancel()
		_, err := c.DialContext(ctx, path)
		wantError(t, err, ops.CodeTimeout, "no answer in time")
	})
}

func TestACutConnectionIsNoCleanEnd(t *testing.T) {
	eachWay(t, func(t *testing.T, refuse xssh.RejectionReason) {
		c, s := tunnelTo(t, refuse)
		conn := dial(t, c, listen(t, echo))
		if _, err := io.WriteString(conn, "part of an answer"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		s.Drop()
		if _, err := io.ReadAll(conn); !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, ssh.ErrLost) {
			t.Errorf("the rest of the answer ended with %v, want an unexpected end that says of what", err)
		}
	})
}

func TestManyHTTPRequestsShareOneConnection(t *testing.T) {
	eachWay(t, func(t *testing.T, refuse xssh.RejectionReason) {
		c, s := tunnelTo(t, refuse)
		dir, err := os.MkdirTemp("", "tunnel") //nolint:usetesting // a short path
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		path := filepath.Join(dir, "http.sock")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for i := range 20 {
				_, _ = fmt.Fprintf(w, "%s %d\n", r.URL.Path, i)
				_ = http.NewResponseController(w).Flush()
			}
		})}
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return c.DialContext(ctx, path)
		}}}
		var work sync.WaitGroup
		for i := range 64 {
			work.Go(func() {
				r, err := client.Get(fmt.Sprintf("http://hive/%d", i))
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = r.Body.Close() }()
				body, err := io.ReadAll(r.Body)
				if err != nil || strings.Count(string(body), fmt.Sprintf("/%d ", i)) != 20 {
					t.Errorf("request %d got %d bytes, %v", i, len(body), err)
				}
			})
		}
		work.Wait()
		client.CloseIdleConnections()
		_ = server.Close()
		<-served
		if s.Accepted() != 1 {
			t.Errorf("there are %d SSH connections, want 1", s.Accepted())
		}
	})
}
