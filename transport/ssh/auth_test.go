package ssh_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
	"rbee.dev/rbee/transport/ssh/sshtest"
)

// runAgent is an SSH agent with n keys; it returns its socket, the public
// halves, and how many of its connections are open.
func runAgent(t *testing.T, n int) (socket string, keys []xssh.PublicKey, open func() int) {
	t.Helper()
	ring := agent.NewKeyring()
	for range n {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
			t.Fatal(err)
		}
		key, err := xssh.NewPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	var mu sync.Mutex
	count := 0
	add := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		count += n
		return count
	}
	socket = listen(t, func(c *net.UnixConn) {
		add(1)
		defer add(-1)
		_ = agent.ServeAgent(ring, c)
	})
	return socket, keys, func() int { return add(0) }
}

func TestTheAgentsKeysAreTaken(t *testing.T) {
	a := newAccount(t)
	socket, keys, open := runAgent(t, 2)
	s := sshtest.New(t, sshtest.Options{AuthorizedKeys: keys[1:]})
	sshtest.Write(t, a.home, "known_hosts", s.KnownHosts())
	o := a.options()
	o.Agent = socket
	_ = connect(t, s, o)
	for open() > 0 {
		if within(t).Err() != nil {
			t.Fatal("the agent's socket is still open")
		}
	}
	o.Agent = ""
	t.Setenv("SSH_AUTH_SOCK", socket)
	_ = connect(t, s, o)
	sshtest.Write(t, a.home, "config", "IdentityAgent none\n")
	_, err := ssh.Dial(within(t), targetOf(t, s), o)
	wantError(t, err, ops.CodeDenied, "accepts none of the keys")
	sshtest.Write(t, a.home, "config", "IdentityAgent "+socket+"\n")
	_ = connect(t, s, o)
	o.Agent = filepath.Join(a.home, "gone")
	_, err = ssh.Dial(within(t), targetOf(t, s), o)
	wantError(t, err, ops.CodeDenied, "accepts none of the keys")
}

func TestAnAgentFullOfKeysDoesNotShutOutTheConfiguredOne(t *testing.T) {
	for name, config := range map[string]string{
		"a file":                  "IdentityFile ~/.ssh/id_ed25519\n",
		"a file alone":            "IdentityFile ~/.ssh/id_ed25519\nIdentitiesOnly yes\n",
		"the agent's, by its pub": "IdentityFile ~/.ssh/named.pub\nIdentitiesOnly yes\n",
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			socket, keys, _ := runAgent(t, 12)
			s := a.server(t, sshtest.Options{AuthorizedKeys: keys[11:]})
			sshtest.Write(t, a.home, "config", config)
			sshtest.Write(t, a.home, "named.pub", string(xssh.MarshalAuthorizedKey(keys[11])))
			o := a.options()
			o.Agent = socket
			_ = connect(t, s, o)
		})
	}
	a := newAccount(t)
	socket, _, _ := runAgent(t, 12)
	s := a.server(t, sshtest.Options{})
	o := a.options()
	o.Agent = socket
	_, err := ssh.Dial(within(t), targetOf(t, s), o)
	e := wantError(t, err, ops.CodeDenied, "too many keys")
	if !strings.Contains(e.Hint, "IdentitiesOnly") {
		t.Errorf("the hint is %q", e.Hint)
	}
}

func TestIdentitiesOnlyOffersNothingElse(t *testing.T) {
	a := newAccount(t)
	socket, keys, _ := runAgent(t, 1)
	s := sshtest.New(t, sshtest.Options{AuthorizedKeys: keys})
	sshtest.Write(t, a.home, "known_hosts", s.KnownHosts())
	sshtest.Write(t, a.home, "config", "IdentityFile ~/.ssh/id_ed25519\nIdentitiesOnly yes\n")
	o := a.options()
	o.Agent = socket
	_, err := ssh.Dial(within(t), targetOf(t, s), o)
	wantError(t, err, ops.CodeDenied, "id_ed25519)")
}

func TestAKeyOfRbeesOwnIsTaken(t *testing.T) {
	a := newAccount(t)
	key, err := ssh.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	public, comment, _, _, err := xssh.ParseAuthorizedKey([]byte(key.AuthorizedKeyLine("rbee of\nalice")))
	if err != nil || comment != "rbee of alice" {
		t.Fatalf("the line cannot be read: %v, %q", err, comment)
	}
	s := sshtest.New(t, sshtest.Options{AuthorizedKeys: []xssh.PublicKey{public}})
	sshtest.Write(t, a.home, "known_hosts", s.KnownHosts())
	sshtest.Write(t, a.home, "config", "IdentityFile none\nIdentitiesOnly yes\n")
	o := a.options()
	o.Keys = []*ssh.Key{key}
	_ = connect(t, s, o)
}

func TestALockedKeyWantsItsPassphraseOnlyIfItWouldOpen(t *testing.T) {
	a := newAccount(t)
	path := filepath.Join(a.home, ".ssh", "id_ed25519")
	locked := sshtest.WriteKey(t, a.home, "id_ed25519", "correct horse")
	s := sshtest.New(t, sshtest.Options{AuthorizedKeys: []xssh.PublicKey{locked}})
	stranger := sshtest.New(t, sshtest.Options{})
	sshtest.Write(t, a.home, "known_hosts", s.KnownHosts()+stranger.KnownHosts())
	o := a.options()

	_, err := ssh.Dial(within(t), targetOf(t, stranger), o)
	wantError(t, err, ops.CodeDenied, "accepts none")
	if _, ok := errors.AsType[*ssh.NeedsPassphrase](err); ok {
		t.Error("a passphrase is asked for a key that the server does not take")
	}
	for _, given := range []string{"", "wrong battery"} {
		if given != "" {
			o.Secrets.Passphrases = map[string]string{path: given}
		}
		_, err = ssh.Dial(within(t), targetOf(t, s), o)
		e := wantError(t, err, ops.CodeDenied, path)
		need, ok := errors.AsType[*ssh.NeedsPassphrase](err)
		if !ok || need.Path != path || need.Wrong != (given != "") {
			t.Errorf("the error holds %+v", need)
		}
		noSecret(t, "battery", e, err)
	}
	o.Secrets.Passphrases = map[string]string{path: "correct horse"}
	_ = connect(t, s, o)
}

func TestAnotherKeyIsTriedBeforeALockedOne(t *testing.T) {
	a := newAccount(t)
	locked := sshtest.WriteKey(t, a.home, "id_ecdsa", "correct horse")
	open := sshtest.WriteKey(t, a.home, "id_rsa", "")
	s := sshtest.New(t, sshtest.Options{AuthorizedKeys: []xssh.PublicKey{locked, open}})
	sshtest.Write(t, a.home, "known_hosts", s.KnownHosts())
	_ = connect(t, s, a.options())
}

func TestAPasswordIsUsedOnlyWhereItIsGivenFor(t *testing.T) {
	for name, interactive := range map[string]bool{"password": false, "keyboard-interactive": true} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			s := sshtest.New(t, sshtest.Options{Password: "hunter2", Interactive: interactive})
			sshtest.Write(t, a.home, "known_hosts", s.KnownHosts())
			account := "somebody@" + s.Addr
			for given, wrong := range map[string]bool{"": false, "hunter3": true} {
				o := a.options()
				o.Secrets.Passwords = map[string]string{"else@" + s.Addr: "hunter2"}
				if given != "" {
					o.Secrets.Passwords[account] = given
				}
				_, err := ssh.Dial(within(t), targetOf(t, s), o)
				e := wantError(t, err, ops.CodeDenied, "password")
				need, ok := errors.AsType[*ssh.NeedsPassword](err)
				if !ok || need.Account != account || need.Wrong != wrong {
					t.Errorf("the error holds %+v", need)
				}
				noSecret(t, "hunter", e, err, o.Secrets)
			}
			o := a.options()
			o.Secrets.Passwords = map[string]string{account: "hunter2"}
			_ = connect(t, s, o)
		})
	}
}

func TestACertificateIsOfferedWithItsKey(t *testing.T) {
	a := newAccount(t)
	authority := sshtest.Signer(t)
	certificate := &xssh.Certificate{Key: a.key, CertType: xssh.UserCert, ValidPrincipals: []string{"somebody"}, ValidBefore: xssh.CertTimeInfinity}
	if err := certificate.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	sshtest.Write(t, a.home, "id_ed25519-cert.pub", string(xssh.MarshalAuthorizedKey(certificate)))
	s := sshtest.New(t, sshtest.Options{AuthorizedKeys: []xssh.PublicKey{certificate}}) // and not the key alone
	sshtest.Write(t, a.home, "known_hosts", s.KnownHosts())
	_ = connect(t, s, a.options())
}

// noSecret checks that a secret shows in no form of the values.
func noSecret(t *testing.T, secret string, values ...any) {
	t.Helper()
	for _, v := range values {
		text, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		shown := fmt.Sprintf("%v %+v %#v %s %s", v, v, v, v, text)
		for e, ok := v.(error); ok && e != nil; e = errors.Unwrap(e) {
			shown += fmt.Sprintf(" %+v %#v", e, e)
		}
		if e, ok := v.(*ops.Error); ok {
			shown += e.Hint
		}
		if strings.Contains(shown, secret) {
			t.Errorf("the secret shows in %s", shown)
		}
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	key, err := ssh.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	secrets := ssh.Secrets{Passphrases: map[string]string{"/k": "hunter2"}, Passwords: map[string]string{"a@b:22": "hunter2"}}
	noSecret(t, "hunter2", secrets, &secrets, ssh.Options{Secrets: secrets}, struct{ S ssh.Secrets }{secrets})
	noSecret(t, "PRIVATE", key, *key, ssh.Options{Keys: []*ssh.Key{key}})
}

func TestAKeyIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queen.key")
	var mu sync.Mutex
	prints := map[string]int{}
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			k, err := ssh.LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			prints[k.Fingerprint()]++
		})
	}
	work.Wait()
	if len(prints) != 1 {
		t.Errorf("there are several keys: %v", prints)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v (%v)", info, err)
	}
	wantLeft(t, filepath.Dir(path), "queen.key")
	if err := os.WriteFile(path, []byte("gibberish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if k, err := ssh.LoadOrCreateKey(path); err == nil {
		t.Errorf("gibberish is %v", k)
	}
	if _, err := ssh.LoadOrCreateKey(filepath.Join(path, "below", "key")); err == nil {
		t.Error("a key was made in a folder that is not there")
	}
}
