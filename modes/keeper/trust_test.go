package keeper

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// elsewhere is a queen on another machine, and a keeper that may know it.
type elsewhere struct {
	*httptest.Server
	keeper      *Keeper
	fingerprint string
}

func newElsewhere(t *testing.T) *elsewhere {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"status":"ok"}`)) }))
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	h := home.Home{Config: filepath.Join(t.TempDir(), "config")}
	return &elsewhere{s, &Keeper{Home: h}, daemon.Fingerprint(s.Certificate())}
}

// ask asks the queen for its health with what the person has given.
func (e *elsewhere) ask(t *testing.T, pin string) error {
	t.Helper()
	e.keeper.Pin = pin
	u, err := url.Parse(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := e.keeper.trust(u)
	if err != nil {
		return err
	}
	c := transport.New(transport.Options{BaseURL: e.URL, TLS: trusted})
	defer c.Close()
	_, err = c.Health(t.Context())
	return err
}

func wantDenied(t *testing.T, err error, text string) {
	t.Helper()
	e, ok := errors.AsType[*ops.Error](err)
	if !ok || e.Code != ops.CodeDenied || !strings.Contains(e.Message+e.Hint, text) || errors.Is(err, transport.ErrUnreachable) {
		t.Errorf("%v, want denied with %q", err, text)
	}
}

func TestAQueenElsewhereIsShownThenPinnedAndNeverChanged(t *testing.T) {
	e := newElsewhere(t)
	known := e.keeper.Home.KnownQueens()
	wantDenied(t, e.ask(t, ""), "--queen-fingerprint "+e.fingerprint)
	another := "SHA256:" + strings.Repeat("another", 6) + "x"
	wantDenied(t, e.ask(t, another), "not "+another)
	for _, pin := range []string{"SHA256:another", e.fingerprint[7:], "sha256:" + e.fingerprint[7:], e.fingerprint + "="} {
		if err := e.ask(t, pin); ops.CodeOf(err) != ops.CodeInvalid || ops.AsError(err).Field != "queen_fingerprint" {
			t.Errorf("%s: %v", pin, err)
		}
	}
	if _, err := os.Stat(known); !os.IsNotExist(err) {
		t.Error("a queen was remembered that nobody has accepted")
	}
	for _, pin := range []string{e.fingerprint, e.fingerprint, ""} {
		if err := e.ask(t, pin); err != nil {
			t.Errorf("with %q: %v", pin, err)
		}
	}
	wantDenied(t, e.ask(t, another), "that is known")
	text, err := os.ReadFile(known)
	if want := e.Listener.Addr().String() + " " + e.fingerprint + "\n"; err != nil || string(text) != want {
		t.Errorf("known is %q, %v; want %q", text, err, want)
	}
	if err := os.WriteFile(known, []byte("# mine\n"+e.Listener.Addr().String()+" SHA256:before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, pin := range []string{"", e.fingerprint} {
		wantDenied(t, e.ask(t, pin), "has changed")
		wantDenied(t, e.ask(t, pin), known)
	}
}

func TestAQueenWithoutAnEndToItsLastLineIsRememberedOnALineOfItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "known_queens")
	for _, a := range []string{"a:1", "b:2", "a:1"} {
		if err := remember(path, a, "SHA256:x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, []byte("a:1 SHA256:x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := remember(path, "b:2", "SHA256:y"); err != nil {
		t.Fatal(err)
	}
	if known, err := knownQueens(path); err != nil || len(known) != 2 || known["b:2"] != "SHA256:y" {
		t.Errorf("%v, %v", known, err)
	}
}

func TestATokenGoesToItsOwnQueenAndIsNotSentInTheClear(t *testing.T) {
	h := home.Home{State: t.TempDir(), Config: t.TempDir()}
	if err := os.WriteFile(h.Token(), []byte("own\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for queen, want := range map[string]struct{ url, token string }{
		"127.0.0.1:7833":             {"http://127.0.0.1:7833", "own"},
		"localhost:7833":             {"http://localhost:7833", "own"},
		"[::1]:7833":                 {"http://[::1]:7833", "own"},
		"https://127.0.0.1:7833/":    {"https://127.0.0.1:7833", "own"},
		"gpu1:7833":                  {"https://gpu1:7833", ""},
		"https://gpu1":               {"https://gpu1", ""},
		"http://gpu1:7833":           {"http://gpu1:7833", ""}, // as was said
		"localhost.evil.example:443": {"https://localhost.evil.example:443", ""},
		"gpu1":                       {},
		"ftp://gpu1":                 {},
		"https://":                   {},
	} {
		k := &Keeper{Home: h, Flags: Flags{Queen: queen}}
		c, err := k.named()
		if err != nil {
			if want.url != "" || ops.CodeOf(err) != ops.CodeInvalid {
				t.Errorf("%s: %v", queen, err)
			}
			continue
		}
		if c.BaseURL != want.url || c.Token != want.token || (c.TLS != nil) != strings.HasPrefix(want.url, "https") {
			t.Errorf("%s is %s with the token %q", queen, c.BaseURL, c.Token)
		}
		k.Token = "given"
		if c, err := k.named(); err != nil || c.Token != "given" {
			t.Errorf("%s with a token given: %v", queen, err)
		}
	}
}
