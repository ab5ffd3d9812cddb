package sshtest_test

import (
	"net"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"rbee.dev/rbee/transport/ssh/sshtest"
)

func dial(t *testing.T, s *sshtest.Server, auth ...xssh.AuthMethod) (*xssh.Client, error) {
	t.Helper()
	c, err := xssh.Dial("tcp", s.Addr, &xssh.ClientConfig{User: "u", Auth: auth, HostKeyCallback: xssh.InsecureIgnoreHostKey()})
	if err == nil {
		t.Cleanup(func() {
			_ = c.Close()
			_ = c.Wait()
		})
	}
	return c, err
}

func TestAServerLetsInOnlyWhomItKnows(t *testing.T) {
	known, stranger := sshtest.Signer(t), sshtest.Signer(t)
	s := sshtest.New(t, sshtest.Options{AuthorizedKeys: []xssh.PublicKey{known.PublicKey()}, Password: "right"})
	for name, tt := range map[string]struct {
		auth xssh.AuthMethod
		in   bool
	}{
		"the key":       {xssh.PublicKeys(known), true},
		"another key":   {xssh.PublicKeys(stranger), false},
		"the password":  {xssh.Password("right"), true},
		"another one":   {xssh.Password("wrong"), false},
		"no password":   {xssh.Password(""), false},
		"both, one bad": {xssh.PublicKeys(stranger, known), true},
	} {
		if _, err := dial(t, s, tt.auth); (err == nil) != tt.in {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s.Accepted() != 6 {
		t.Errorf("there were %d connections, want 6", s.Accepted())
	}
}

func TestAServerRunsCommandsInItsHome(t *testing.T) {
	key := sshtest.Signer(t)
	s := sshtest.New(t, sshtest.Options{AuthorizedKeys: []xssh.PublicKey{key.PublicKey()}, Noise: "hello\n", Env: []string{"WORD=x"}})
	c, err := dial(t, s, xssh.PublicKeys(key))
	if err != nil {
		t.Fatal(err)
	}
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.Output(`printf '%s %s' "$PWD" "$WORD"`)
	if want := "hello\n" + s.Home + " x"; err != nil || string(out) != want {
		t.Errorf("the command said %q (%v), want %q", out, err, want)
	}
}

func TestAFrozenServerAnswersOnceItThaws(t *testing.T) {
	key := sshtest.Signer(t)
	s := sshtest.New(t, sshtest.Options{AuthorizedKeys: []xssh.PublicKey{key.PublicKey()}})
	c, err := dial(t, s, xssh.PublicKeys(key))
	if err != nil {
		t.Fatal(err)
	}
	s.Freeze()
	answered := make(chan error, 1)
	go func() {
		_, _, err := c.SendRequest("anything", true, nil)
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Errorf("a frozen server answered (%v)", err)
	case <-time.After(20 * time.Millisecond):
	}
	s.Thaw()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestARefusingServerKeepsItsConnections(t *testing.T) {
	key := sshtest.Signer(t)
	s := sshtest.New(t, sshtest.Options{AuthorizedKeys: []xssh.PublicKey{key.PublicKey()}})
	c, err := dial(t, s, xssh.PublicKeys(key))
	if err != nil {
		t.Fatal(err)
	}
	s.Refuse()
	if raw, err := net.Dial("tcp", s.Addr); err == nil {
		_ = raw.Close()
		t.Error("the port is open")
	}
	if _, _, err := c.SendRequest("anything", true, nil); err != nil {
		t.Error(err)
	}
	s.Drop()
	if err := c.Wait(); err == nil {
		t.Error("a dropped connection ended well")
	}
}
