// Package sshtest is an SSH server inside the test's process, for the unit
// tests of what speaks SSH: it runs commands, serves files over SFTP, forwards
// TCP and Unix sockets, and fails on demand. It logs in whoever has the key or
// password it was given and runs what they say with the test's own rights.
//
// It is no OpenSSH: what depends on the real server is tested against one.
package sshtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Options say what a server does. The zero value lets nobody in.
type Options struct {
	// HostKeys are the server's own; none makes an ed25519 one.
	HostKeys []xssh.Signer
	// AuthorizedKeys may log in, as any account.
	AuthorizedKeys []xssh.PublicKey
	// Password may be used to log in, unless empty.
	Password string
	// Interactive asks for the password by keyboard-interactive instead.
	Interactive bool
	// MaxAuthTries is how many failures end a login; 0 is 6.
	MaxAuthTries int

	// Shell is the login shell; empty is /bin/sh.
	Shell string
	// Noise is what the login shell prints before it does anything.
	Noise string
	// Home is the folder that commands start in; empty is a temporary one.
	Home string
	// Env is added to the environment of commands, as "NAME=value".
	Env []string

	// NoSFTP refuses the sftp subsystem.
	NoSFTP bool
	// NoShell refuses to run commands.
	NoShell bool
	// NoForward refuses TCP forwarding.
	NoForward bool
	// RefuseSockets is the reason for which Unix sockets are not forwarded; 0
	// forwards them. OpenSSH gives ConnectionFailed for every reason.
	RefuseSockets xssh.RejectionReason
	// NoSignals passes none on, as OpenSSH does for root.
	NoSignals bool
	// MaxSessions is how many sessions a connection may have; 0 is 10.
	MaxSessions int
	// Silent accepts connections and says nothing.
	Silent bool
	// Mute answers no global request (keepalives).
	Mute bool
	// SFTPFails fails every write to a file once this many bytes were written.
	SFTPFails int64
}

// Server is a running server. It ends with the test.
type Server struct {
	// Addr is "127.0.0.1:port".
	Addr string
	// Home is where commands start.
	Home string

	options  Options
	listener net.Listener
	config   *xssh.ServerConfig
	keys     []xssh.Signer
	work     sync.WaitGroup

	mu    sync.Mutex
	conns map[*conn]bool
	ended chan struct{}

	freeze   *gate
	accepted atomic.Int64
	sockets  atomic.Int64
	sessions atomic.Int64
}

// New starts a server on the loopback interface.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	if len(o.HostKeys) == 0 {
		o.HostKeys = []xssh.Signer{Signer(t)}
	}
	if o.Home == "" {
		o.Home = t.TempDir()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // does not wait
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: l.Addr().String(), Home: o.Home, options: o, listener: l, keys: o.HostKeys, conns: map[*conn]bool{}, freeze: newGate(), ended: make(chan struct{})}
	s.config = s.serverConfig()
	s.work.Go(s.accept)
	t.Cleanup(s.Close)
	return s
}

// Signer makes a key.
func Signer(t testing.TB) xssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := xssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// KnownHosts is the server's entry, or several, in a known_hosts file.
func (s *Server) KnownHosts() string {
	text := ""
	for _, k := range s.keys {
		text += knownhosts.Line([]string{s.Addr}, k.PublicKey()) + "\n"
	}
	return text
}

// Close ends the server, its connections and the commands they run.
func (s *Server) Close() {
	_ = s.listener.Close()
	close(s.ended)
	s.Thaw()
	s.Drop()
	s.work.Wait()
}

// Drop cuts every connection, as when the server is killed.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Conn.Close()
	}
}

// Refuse closes the port: connections that are there live on.
func (s *Server) Refuse() { _ = s.listener.Close() }

// Freeze stops all traffic without closing anything, as when a link is cut.
func (s *Server) Freeze() { s.freeze.shut() }

// Thaw ends a Freeze: what waited goes on.
func (s *Server) Thaw() { s.freeze.open() }

// Accepted is how many TCP connections there were.
func (s *Server) Accepted() int { return int(s.accepted.Load()) }

// Sockets is how many Unix sockets clients asked for, refused ones included.
func (s *Server) Sockets() int { return int(s.sockets.Load()) }

// Sessions is how many sessions are open.
func (s *Server) Sessions() int { return int(s.sessions.Load()) }

func (s *Server) accept() {
	for {
		raw, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.accepted.Add(1)
		c := &conn{Conn: raw, gate: s.freeze}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.work.Go(func() {
			s.serve(c)
			_ = raw.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

func (s *Server) serverConfig() *xssh.ServerConfig {
	c := &xssh.ServerConfig{MaxAuthTries: s.options.MaxAuthTries}
	c.PublicKeyCallback = func(_ xssh.ConnMetadata, key xssh.PublicKey) (*xssh.Permissions, error) {
		for _, k := range s.options.AuthorizedKeys {
			if string(k.Marshal()) == string(key.Marshal()) {
				return &xssh.Permissions{}, nil
			}
		}
		return nil, errors.New("not authorized")
	}
	right := func(password string) (*xssh.Permissions, error) {
		if password == s.options.Password {
			return &xssh.Permissions{}, nil
		}
		return nil, errors.New("wrong password")
	}
	switch {
	case s.options.Password != "" && s.options.Interactive:
		c.KeyboardInteractiveCallback = func(_ xssh.ConnMetadata, ask xssh.KeyboardInteractiveChallenge) (*xssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil || len(answers) != 1 {
				return nil, errors.New("no answer")
			}
			return right(answers[0])
		}
	case s.options.Password != "":
		c.PasswordCallback = func(_ xssh.ConnMetadata, password []byte) (*xssh.Permissions, error) {
			return right(string(password))
		}
	}
	for _, k := range s.keys {
		c.AddHostKey(k)
	}
	return c
}
