package ssh_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
	"rbee.dev/rbee/transport/ssh/sshtest"
)

func signerOf(t *testing.T, key any, err error) xssh.Signer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	s, err := xssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ecdsaSigner(t *testing.T) xssh.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return signerOf(t, key, err)
}

func rsaSigner(t *testing.T) xssh.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	return signerOf(t, key, err)
}

// entry is a line of known_hosts.
func entry(addr string, key xssh.PublicKey) string {
	return knownhosts.Line([]string{addr}, key) + "\n"
}

func hashed(addr string, key xssh.PublicKey) string {
	return knownhosts.HashHostname(knownhosts.Normalize(addr)) + " " + string(xssh.MarshalAuthorizedKey(key))
}

func TestOnlyAHostWithAKnownKeyIsSpokenWith(t *testing.T) {
	host, other, ec, rs := sshtest.Signer(t), sshtest.Signer(t), ecdsaSigner(t), rsaSigner(t)
	for name, tt := range map[string]struct {
		keys  []xssh.Signer // of the server
		known func(addr string) string
		code  ops.Code // "" is let in
		text  string
	}{
		"plain":                   {nil, func(a string) string { return entry(a, host.PublicKey()) }, "", ""},
		"hashed":                  {nil, func(a string) string { return hashed(a, host.PublicKey()) }, "", ""},
		"among others":            {nil, func(a string) string { return entry("a", other.PublicKey()) + entry(a, host.PublicKey()) }, "", ""},
		"several keys, one known": {[]xssh.Signer{rs, ec, host}, func(a string) string { return entry(a, host.PublicKey()) }, "", ""},
		"only RSA is known":       {[]xssh.Signer{host, ec, rs}, func(a string) string { return entry(a, rs.PublicKey()) }, "", ""},
		"nothing known":           {nil, func(string) string { return "" }, ops.CodeDenied, "is not known: ssh-ed25519 " + xssh.FingerprintSHA256(host.PublicKey())},
		"changed":                 {nil, func(a string) string { return "\n" + entry(a, other.PublicKey()) }, ops.CodeDenied, "has changed: it is ssh-ed25519 " + xssh.FingerprintSHA256(host.PublicKey()) + ", known is ssh-ed25519 " + xssh.FingerprintSHA256(other.PublicKey())},
		"changed, hashed":         {nil, func(a string) string { return hashed(a, other.PublicKey()) }, ops.CodeDenied, "known_hosts:1"},
		"another type now":        {[]xssh.Signer{ec}, func(a string) string { return entry(a, other.PublicKey()) }, ops.CodeDenied, "has changed: it is ecdsa"},
		"revoked":                 {nil, func(a string) string { return entry(a, host.PublicKey()) + "@revoked " + entry("*", host.PublicKey()) }, ops.CodeDenied, "is revoked"},
		"revoked, never seen":     {nil, func(string) string { return "@revoked " + entry("*", host.PublicKey()) }, ops.CodeDenied, "is revoked"},
		"among gibberish":         {nil, func(a string) string { return "gibberish\nh unknown-type AAAA\n" + entry(a, host.PublicKey()) }, "", ""},
		"changed, in gibberish":   {nil, func(a string) string { return "gibberish\n\n" + entry(a, other.PublicKey()) }, ops.CodeDenied, "known_hosts:3)"},
		"revoked, in gibberish":   {nil, func(string) string { return "gibberish\n@revoked " + entry("*", host.PublicKey()) }, ops.CodeDenied, "known_hosts:2"},
		"a broken revocation":     {nil, func(a string) string { return entry(a, host.PublicKey()) + "@revoked * ssh-ed25519 AAAA\n" }, ops.CodeInvalid, "known_hosts:2"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			if tt.keys == nil {
				tt.keys = []xssh.Signer{host}
			}
			s := a.server(t, sshtest.Options{HostKeys: tt.keys})
			path := sshtest.Write(t, a.home, "known_hosts", tt.known(s.Addr))
			before, _ := os.ReadFile(path)
			o := a.options()
			if tt.code != "" && !strings.Contains(tt.text, "is not known") {
				o.AcceptNewHostKey = true // which helps none of these
			}
			c, err := ssh.Dial(within(t), targetOf(t, s), o)
			if err == nil {
				_ = c.Close()
			}
			if tt.code == "" && err != nil {
				t.Fatal(err)
			}
			if tt.code != "" {
				wantError(t, err, tt.code, tt.text)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Errorf("known_hosts was changed to %q", after)
			}
		})
	}
}

func TestACertifiedHostIsKnown(t *testing.T) {
	a := newAccount(t)
	authority, host := sshtest.Signer(t), ecdsaSigner(t)
	certificate := &xssh.Certificate{Key: host.PublicKey(), CertType: xssh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: xssh.CertTimeInfinity}
	if err := certificate.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	certified, err := xssh.NewCertSigner(certificate, host)
	if err != nil {
		t.Fatal(err)
	}
	s := a.server(t, sshtest.Options{HostKeys: []xssh.Signer{sshtest.Signer(t), certified}})
	// The authority's key is of another type than the host's.
	sshtest.Write(t, a.home, "known_hosts", "@cert-authority "+entry(s.Addr, authority.PublicKey()))
	_ = connect(t, s, a.options())
}

func TestAnUnknownKeyIsShownAndAcceptedOnRequest(t *testing.T) {
	for name, hash := range map[string]bool{"plain": false, "hashed": true} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			s := a.server(t, sshtest.Options{})
			path := sshtest.Write(t, a.home, "known_hosts", "")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if hash {
				sshtest.Write(t, a.home, "config", "HashKnownHosts yes\n")
			}
			_, err := ssh.Dial(within(t), targetOf(t, s), a.options())
			e := wantError(t, err, ops.CodeDenied, "is not known")
			if !strings.Contains(e.Hint, "--accept-new-host-key") {
				t.Errorf("the hint is %q", e.Hint)
			}
			shown, ok := errors.AsType[*ssh.UnknownHostKey](err)
			if !ok || shown.Host != s.Addr || shown.KeyType != "ssh-ed25519" || !strings.HasPrefix(shown.Fingerprint, "SHA256:") {
				t.Fatalf("the error holds %+v", shown)
			}
			o := a.options()
			o.AcceptFingerprint = "SHA256:another"
			o.AcceptNewHostKey = true // the exact one beats it
			_, err = ssh.Dial(within(t), targetOf(t, s), o)
			wantError(t, err, ops.CodeDenied, "not SHA256:another as accepted")
			o = a.options()
			o.AcceptFingerprint = shown.Fingerprint
			_ = connect(t, s, o)
			_ = connect(t, s, a.options()) // known from now on
			text, err := os.ReadFile(path)
			if err != nil || strings.Count(string(text), "\n") != 1 || strings.HasPrefix(string(text), "|1|") != hash {
				t.Errorf("known_hosts is %q (%v)", text, err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("its mode is %v (%v)", info.Mode(), err)
			}
		})
	}
}

func TestAcceptedKeysAreAddedToWhatIsThere(t *testing.T) {
	a := newAccount(t)
	first := a.server(t, sshtest.Options{})
	second := sshtest.New(t, sshtest.Options{AuthorizedKeys: []xssh.PublicKey{a.key}})
	before := "# mine\n" + entry("somewhere", sshtest.Signer(t).PublicKey())
	path := sshtest.Write(t, a.home, "known_hosts", strings.TrimSuffix(before, "\n")) // no line's end
	o := a.options()
	o.AcceptNewHostKey = true
	var work sync.WaitGroup
	for range 8 {
		for _, s := range []*sshtest.Server{first, second} {
			target := targetOf(t, s)
			work.Go(func() {
				c, err := ssh.Dial(within(t), target, o)
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.Close()
			})
		}
	}
	work.Wait()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); !strings.HasPrefix(got, before) || strings.Count(got, "\n") != 4 {
		t.Errorf("known_hosts is %q, want one more line for each server", got)
	}
}

func TestAKeyThatCannotBeNotedIsAClearError(t *testing.T) {
	a := newAccount(t)
	s := a.server(t, sshtest.Options{})
	o := a.options()
	o.AcceptNewHostKey = true
	o.KnownHosts = []string{filepath.Join("/proc", "none", "known_hosts")}
	_, err := ssh.Dial(within(t), targetOf(t, s), o)
	wantError(t, err, ops.CodeDenied, "note the host key")
}

func TestEachMachineOnTheWayIsChecked(t *testing.T) {
	a := newAccount(t)
	jump := sshtest.New(t, sshtest.Options{AuthorizedKeys: []xssh.PublicKey{a.key}})
	last := sshtest.New(t, sshtest.Options{AuthorizedKeys: []xssh.PublicKey{a.key}})
	host, port, _ := net.SplitHostPort(last.Addr)
	sshtest.Write(t, a.home, "config", fmt.Sprintf("Host far\n HostName %s\n Port %s\n ProxyJump %s\n", host, port, jump.Addr))
	o := a.options()
	for _, s := range []*sshtest.Server{jump, last} {
		_, err := ssh.Dial(within(t), ssh.Target{Host: "far"}, o)
		shown, ok := errors.AsType[*ssh.UnknownHostKey](err)
		if !ok || shown.Host != s.Addr {
			t.Fatalf("the error is %v, want the key of %s", err, s.Addr)
		}
		o.AcceptFingerprint = shown.Fingerprint
	}
	c, err := ssh.Dial(within(t), ssh.Target{Host: "far"}, o)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

func TestAHostKeyAliasIsLookedUpInPlaceOfTheAddress(t *testing.T) {
	a := newAccount(t)
	s := a.server(t, sshtest.Options{})
	known, err := os.ReadFile(filepath.Join(a.home, ".ssh", "known_hosts"))
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(string(known), " ")
	sshtest.Write(t, a.home, "known_hosts", "the-box "+key)
	sshtest.Write(t, a.home, "config", "HostKeyAlias The-Box\n")
	_ = connect(t, s, a.options())
}
