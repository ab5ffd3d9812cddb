package modes_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// freePort is an address that nobody listens on just now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestAHiveListensOnTCPForWhoHasItsToken(t *testing.T) {
	p := newPlace(t)
	addr := freePort(t)
	serve := p.command("hive", "serve", "--listen", addr)
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = serve.Process.Signal(syscall.SIGTERM)
		_ = serve.Wait() // its status is the signal's
	})
	var token string
	for end := time.Now().Add(20 * time.Second); token == ""; time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(p.home, "state", "hive.token"))
		if conn, dialled := net.Dial("tcp", addr); err == nil && dialled == nil { //nolint:noctx // a loop with an end
			_ = conn.Close()
			token = strings.TrimSpace(string(text))
		}
		if time.Now().After(end) {
			t.Fatal("the hive does not listen")
		}
	}
	if info, err := os.Stat(filepath.Join(p.home, "state", "hive.token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file: %v, %v", info, err)
	}
	for name, tt := range map[string]struct {
		header, value string
		path          string
		want          int
	}{
		"no token":                    {"X-Other", "x", "/v1/jobs", http.StatusUnauthorized},
		"no token, for the health":    {"X-Other", "x", "/health", http.StatusUnauthorized},
		"a wrong token":               {"Authorization", "Bearer " + token + "x", "/v1/jobs", http.StatusUnauthorized},
		"the token as another scheme": {"Authorization", "Basic " + token, "/v1/jobs", http.StatusUnauthorized},
		"the token":                   {"Authorization", "Bearer " + token, "/v1/jobs", http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+tt.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set(tt.header, tt.value)
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if answer.StatusCode != tt.want {
				t.Errorf("status %s, want %d", answer.Status, tt.want)
			}
		})
	}
	c := transport.New(transport.Options{BaseURL: "http://" + addr, Token: token})
	defer c.Close()
	defer http.DefaultClient.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answer, err := transport.Call(ctx, c, ops.Infer{Model: "tinybee", Prompt: "Once upon a time", MaxTokens: 5})
	if err != nil || answer.Text == "" {
		t.Errorf("an answer over TCP: %+v, %v", answer, err)
	}
	page, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/v1/jobs", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	page.Header.Set("Authorization", "Bearer "+token)
	page.Header.Set("Origin", "http://evil.example")
	refused, err := http.DefaultClient.Do(page)
	if err != nil {
		t.Fatal(err)
	}
	defer refused.Body.Close()
	if refused.StatusCode != http.StatusForbidden {
		t.Errorf("a web page gets %s", refused.Status)
	}
}
