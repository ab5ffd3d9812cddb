package ssh_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
	"rbee.dev/rbee/transport/ssh/sshtest"
)

// soon is more than anything here takes; what waits longer is stuck.
const soon = 30 * time.Second

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	t.Cleanup(cancel)
	return ctx
}

// account is the client's side: a home with a key and what it knows.
type account struct {
	home string
	key  xssh.PublicKey
}

func newAccount(t *testing.T) account {
	t.Helper()
	home := sshtest.Home(t)
	return account{home: home, key: sshtest.WriteKey(t, home, "id_ed25519", "")}
}

// options are those of a machine with no agent and no system files.
func (a account) options() ssh.Options {
	return ssh.Options{
		Home: a.home, SystemConfigFile: filepath.Join(a.home, "none"), SystemKnownHosts: []string{},
		Agent: "none", Timeout: soon,
	}
}

// server starts a server that lets the account in and is known to it.
func (a account) server(t *testing.T, o sshtest.Options) *sshtest.Server {
	t.Helper()
	o.AuthorizedKeys = append(o.AuthorizedKeys, a.key)
	s := sshtest.New(t, o)
	sshtest.Write(t, a.home, "known_hosts", s.KnownHosts())
	return s
}

// targetOf is where a server is.
func targetOf(t *testing.T, s *sshtest.Server) ssh.Target {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return ssh.Target{User: "somebody", Host: host, Port: n}
}

// connect is a connection that ends with the test.
func connect(t *testing.T, s *sshtest.Server, o ssh.Options) *ssh.Conn {
	t.Helper()
	c, err := ssh.Dial(within(t), targetOf(t, s), o)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// to connects to a new server of the given kind.
func to(t *testing.T, so sshtest.Options) (*ssh.Conn, *sshtest.Server) {
	t.Helper()
	a := newAccount(t)
	s := a.server(t, so)
	return connect(t, s, a.options()), s
}

// wantError checks that err is one with a code and a hint, and holds text.
func wantError(t *testing.T, err error, code ops.Code, text string) *ops.Error {
	t.Helper()
	e, ok := errors.AsType[*ops.Error](err)
	if !ok {
		t.Fatalf("the error is %v (%T), want an ops.Error", err, err)
	}
	if e.Code != code || !strings.Contains(err.Error(), text) {
		t.Errorf("the error is %s: %v; want %s with %q", e.Code, err, code, text)
	}
	if e.Hint == "" && code != ops.CodeCancelled {
		t.Errorf("%v has no hint", err)
	}
	return e
}
