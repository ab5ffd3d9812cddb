package ssh_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
	"rbee.dev/rbee/transport/ssh/sshtest"
)

// quick are pauses that no test waits for.
var quick = ssh.LinkOptions{FirstWait: time.Millisecond, LongestWait: 5 * time.Millisecond, DeniedWait: time.Hour}

func newLink(t *testing.T, s *sshtest.Server, o ssh.Options, lo ssh.LinkOptions) *ssh.Link {
	t.Helper()
	l := ssh.NewLink(targetOf(t, s), o, lo)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// awaitState waits until the link is up or down with a reason.
func awaitState(t *testing.T, l *ssh.Link, up bool) ssh.LinkState {
	t.Helper()
	ctx := within(t)
	for {
		state, changed := l.State()
		if state.Up == up && (up || state.Err != nil) {
			return state
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the link is still %+v", state)
		}
	}
}

func TestALinkComesBackByItself(t *testing.T) {
	a := newAccount(t)
	s := a.server(t, sshtest.Options{})
	l := newLink(t, s, a.options(), quick)
	path := listen(t, echo)
	for range 3 {
		awaitState(t, l, true)
		conn, err := l.DialContext(within(t), path)
		if err != nil {
			t.Fatal(err)
		}
		before, changed := l.State()
		s.Drop()
		<-changed
		if _, err := io.ReadAll(conn); err == nil {
			t.Error("what ran over the lost connection ended well")
		}
		_ = conn.Close()
		if after := awaitState(t, l, true); !after.Since.After(before.Since) || after.Err != nil {
			t.Errorf("the state is %+v, was %+v", after, before)
		}
	}
}

func TestALinkThatIsDownSaysSoAtOnce(t *testing.T) {
	a := newAccount(t)
	s := a.server(t, sshtest.Options{})
	s.Refuse()
	l := newLink(t, s, a.options(), ssh.LinkOptions{FirstWait: time.Hour, LongestWait: time.Hour})
	awaitState(t, l, false)
	_, err := l.DialContext(within(t), "/x.sock")
	wantError(t, err, ops.CodeUnavailable, "refuses connections")
}

func TestALinkTriesAgainWhenWoken(t *testing.T) {
	a := newAccount(t)
	s := a.server(t, sshtest.Options{})
	sshtest.Write(t, a.home, "known_hosts", "")
	l := newLink(t, s, a.options(), quick)
	_, err := l.Conn(within(t))
	wantError(t, err, ops.CodeDenied, "is not known")
	if _, err := l.Reconnect(within(t)); err == nil {
		t.Error("the link is up with an unknown host")
	}
	before := s.Accepted()
	sshtest.Write(t, a.home, "known_hosts", s.KnownHosts())
	if _, err := l.Conn(within(t)); err == nil || s.Accepted() != before {
		t.Errorf("the link tried again by itself after it was denied (%v)", err)
	}
	if _, err := l.Reconnect(within(t)); err != nil {
		t.Error(err)
	}
	awaitState(t, l, true)
}

func TestALinkTakesAConnectionMadeElsewhere(t *testing.T) {
	a := newAccount(t)
	s := a.server(t, sshtest.Options{})
	lo := quick
	lo.Paused = true
	l := newLink(t, s, a.options(), lo)
	ctx, cancel := context.WithTimeout(within(t), 20*time.Millisecond)
	defer cancel()
	if _, err := l.Conn(ctx); err == nil || s.Accepted() != 0 {
		t.Errorf("a paused link dialled (%v)", err)
	}
	for range 2 {
		given := connect(t, s, a.options())
		l.Use(given)
		for {
			c, err := l.Conn(within(t))
			if err != nil {
				t.Fatal(err)
			}
			if c == given {
				break
			}
		}
	}
	if _, err := l.Reconnect(within(t)); err != nil {
		t.Error(err)
	}
	last := connect(t, s, a.options())
	_ = l.Close()
	l.Use(last)
	<-last.Done()
	_, err := l.Conn(within(t))
	wantError(t, err, ops.CodeUnavailable, "was closed")
}

func TestALinkNoticesADeadMachine(t *testing.T) {
	a := newAccount(t)
	s := a.server(t, sshtest.Options{})
	o := a.options()
	o.KeepaliveInterval, o.KeepaliveTimeout, o.Timeout = 5*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond
	l := newLink(t, s, o, quick)
	awaitState(t, l, true)
	s.Freeze()
	defer s.Thaw()
	wantError(t, awaitState(t, l, false).Err, ops.CodeTimeout, "no answer")
	s.Thaw()
	awaitState(t, l, true)
}

func TestClosingALinkEndsItsAttempt(t *testing.T) {
	a := newAccount(t)
	s := a.server(t, sshtest.Options{Silent: true})
	l := ssh.NewLink(targetOf(t, s), a.options(), quick)
	waited := make(chan error, 1)
	go func() {
		_, err := l.Conn(context.Background())
		waited <- err
	}()
	for s.Accepted() == 0 {
		time.Sleep(time.Millisecond)
	}
	_ = l.Close()
	if err := <-waited; err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Conn() = %v after Close", err)
	}
}

func TestALinkTellsWhetherItsMachineAnswers(t *testing.T) {
	a := newAccount(t)
	s := a.server(t, sshtest.Options{})
	l := newLink(t, s, a.options(), quick)
	awaitState(t, l, true)
	if !l.Lives(within(t)) {
		t.Error("the machine is there, and does not answer")
	}
	s.Freeze()
	defer s.Thaw()
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if l.Lives(soon) {
		t.Error("the machine is frozen, and answers")
	}
}
