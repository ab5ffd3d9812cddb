package ssh_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
	"rbee.dev/rbee/transport/ssh/sshtest"
)

func TestAMachineIsReachedByItsNameInTheConfiguration(t *testing.T) {
	a := newAccount(t)
	s := a.server(t, sshtest.Options{})
	host, port, _ := net.SplitHostPort(s.Addr)
	sshtest.Write(t, a.home, "config", fmt.Sprintf("Host gpu1\n  HostName %s\n  Port %s\n  User alice\n", host, port))
	c, err := ssh.Dial(within(t), ssh.Target{Host: "gpu1"}, a.options())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if got, want := c.Hop().String(), "alice@"+s.Addr; got != want {
		t.Errorf("the connection leads to %s, want %s", got, want)
	}
}

func TestAMachineIsReachedThroughOthers(t *testing.T) {
	a := newAccount(t)
	first := sshtest.New(t, sshtest.Options{AuthorizedKeys: []xssh.PublicKey{a.key}})
	second := sshtest.New(t, sshtest.Options{AuthorizedKeys: []xssh.PublicKey{a.key}})
	last := sshtest.New(t, sshtest.Options{AuthorizedKeys: []xssh.PublicKey{a.key}})
	sshtest.Write(t, a.home, "known_hosts", first.KnownHosts()+second.KnownHosts()+last.KnownHosts())
	sshtest.Write(t, a.home, "config", fmt.Sprintf("Match host far\nProxyJump bob@%s,%s\n", first.Addr, second.Addr)+
		configHost("far", last.Addr))
	c, err := ssh.Dial(within(t), ssh.Target{Host: "far"}, a.options())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	out, err := c.Run(within(t), ssh.Command{Argv: []string{"pwd"}})
	if err != nil || strings.TrimSpace(string(out.Stdout)) != last.Home {
		t.Errorf("the command ran in %q (%v), want %s", out.Stdout, err, last.Home)
	}
	for i, s := range []*sshtest.Server{first, second, last} {
		if s.Accepted() != 1 {
			t.Errorf("server %d had %d connections, want 1", i, s.Accepted())
		}
	}
}

func configHost(name, addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf("Host %s\n  HostName %s\n  Port %s\n", name, host, port)
}

func TestAMachineThatCannotBeReachedIsAClearError(t *testing.T) {
	a := newAccount(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	_ = l.Close()
	shut := a.server(t, sshtest.Options{NoForward: true})
	jump := sshtest.New(t, sshtest.Options{AuthorizedKeys: []xssh.PublicKey{a.key}})
	sshtest.Write(t, a.home, "known_hosts", shut.KnownHosts()+jump.KnownHosts())
	sshtest.Write(t, a.home, "config", strings.Join([]string{
		configHost("closed", closed),
		configHost("shut", shut.Addr), configHost("jump", jump.Addr),
		configHost("behind-shut", closed) + "  ProxyJump shut\n",
		configHost("behind-jump", closed) + "  ProxyJump jump\n",
		configHost("behind-closed", shut.Addr) + "  ProxyJump closed\n",
		"Host loop\n  ProxyJump loop\n",
		"Host proxied\n  ProxyCommand nc %h %p\n",
		"Host badport\n  Port many\n",
		"Host badname\n  HostName -oProxyCommand=x\n",
	}, ""))
	for name, tt := range map[string]struct {
		code ops.Code
		text string
	}{
		"closed":               {ops.CodeUnavailable, "refuses connections"},
		"no-such-host.invalid": {ops.CodeUnavailable, "there is no machine called"},
		"behind-shut":          {ops.CodeDenied, "does not forward"},
		"behind-jump":          {ops.CodeUnavailable, "the jump host does not reach"},
		"behind-closed":        {ops.CodeUnavailable, "at the jump host closed"},
		"loop":                 {ops.CodeInvalid, "more than 8 machines"},
		"proxied":              {ops.CodeUnsupported, "ProxyCommand"},
		"badport":              {ops.CodeInvalid, "is no port"},
		"badname":              {ops.CodeInvalid, "does not begin with '-'"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ssh.Dial(within(t), ssh.Target{Host: name}, a.options())
			wantError(t, err, tt.code, tt.text)
		})
	}
}

func TestAServerThatSaysNothingIsGivenUpInTime(t *testing.T) {
	a := newAccount(t)
	silent := a.server(t, sshtest.Options{Silent: true})
	jump := sshtest.New(t, sshtest.Options{AuthorizedKeys: []xssh.PublicKey{a.key}})
	sshtest.Write(t, a.home, "known_hosts", silent.KnownHosts()+jump.KnownHosts())
	sshtest.Write(t, a.home, "config", configHost("silent", silent.Addr)+configHost("behind", silent.Addr)+"  ProxyJump jump\n"+configHost("jump", jump.Addr))
	for _, name := range []string{"silent", "behind"} {
		o := a.options()
		o.Timeout = 100 * time.Millisecond
		_, err := ssh.Dial(within(t), ssh.Target{Host: name}, o)
		wantError(t, err, ops.CodeTimeout, "no answer in time")

		ctx, cancel := context.WithCancelCause(within(t))
		go func() {
			for silent.Accepted() == 0 {
				time.Sleep(time.Millisecond)
			}
			cancel(errors.New("changed my mind"))
		}()
		_, err = ssh.Dial(ctx, ssh.Target{Host: name}, a.options())
		wantError(t, err, ops.CodeCancelled, "changed my mind")
	}
}

func TestWhatSpeaksNoSSHIsAClearError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	host, port, _ := net.SplitHostPort(l.Addr().String())
	target, err := ssh.ParseTarget(net.JoinHostPort(host, port))
	if err != nil {
		t.Fatal(err)
	}
	_, err = ssh.Dial(within(t), target, newAccount(t).options())
	wantError(t, err, ops.CodeUnavailable, "handshake")
	_ = l.Close()
	<-ended
}

func TestADeadPeerEndsTheConnection(t *testing.T) {
	a := newAccount(t)
	s := a.server(t, sshtest.Options{})
	o := a.options()
	o.KeepaliveInterval, o.KeepaliveTimeout = 10*time.Millisecond, 50*time.Millisecond
	c := connect(t, s, o)
	if err := c.Err(); err != nil {
		t.Fatalf("the connection has ended: %v", err)
	}
	s.Freeze()
	<-c.Done()
	wantError(t, c.Err(), ops.CodeTimeout, "no answer for 50ms")
}

func TestAShortPauseDoesNotEndTheConnection(t *testing.T) {
	a := newAccount(t)
	s := a.server(t, sshtest.Options{})
	o := a.options()
	o.KeepaliveInterval, o.KeepaliveTimeout = time.Millisecond, soon
	c := connect(t, s, o)
	s.Freeze()
	time.Sleep(20 * time.Millisecond)
	s.Thaw()
	if _, err := c.Run(within(t), ssh.Command{Argv: []string{"true"}}); err != nil {
		t.Error(err)
	}
}

func TestABusyConnectionLivesThoughNoKeepaliveIsAnswered(t *testing.T) {
	a := newAccount(t)
	s := a.server(t, sshtest.Options{Mute: true})
	o := a.options()
	o.KeepaliveInterval, o.KeepaliveTimeout = 5*time.Millisecond, 200*time.Millisecond
	c := connect(t, s, o)
	if _, err := c.Run(within(t), ssh.Command{Script: "for i in 1 2 3 4 5 6; do sleep 0.1; echo $i; done"}); err != nil {
		t.Errorf("the connection ended while it was busy: %v", err)
	}
	<-c.Done() // and once it is quiet, it ends
}

func TestClosingTwiceIsHarmless(t *testing.T) {
	c, _ := to(t, sshtest.Options{})
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	wantError(t, c.Err(), ops.CodeUnavailable, "was closed")
	_, err := c.Run(within(t), ssh.Command{Argv: []string{"true"}})
	wantError(t, err, ops.CodeUnavailable, "was closed")
}

func TestGophIsTheSameConnection(t *testing.T) {
	c, s := to(t, sshtest.Options{})
	files, err := c.Goph().NewSftp()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = files.Close() }()
	if wd, err := files.Getwd(); err != nil || filepath.Clean(wd) != s.Home {
		t.Errorf("Getwd() = %q, %v, want %s", wd, err, s.Home)
	}
	if s.Accepted() != 1 {
		t.Errorf("there are %d connections", s.Accepted())
	}
}
