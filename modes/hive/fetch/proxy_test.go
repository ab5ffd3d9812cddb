package fetch_test

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// proxy carries connections to where CONNECT asks for, and knows their names only.
type proxy struct {
	*httptest.Server
	to      string // where every connection really goes
	carried atomic.Int32
	work    sync.WaitGroup
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	p := &proxy{to: to}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
		p.work.Wait()
	})
	return p
}

func (p *proxy) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect || r.Host != "example.com:443" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	there, err := net.Dial("tcp", p.to) //nolint:noctx // on this machine
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = there.Close()
		return
	}
	p.carried.Add(1)
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	p.work.Go(func() {
		_, _ = io.Copy(there, buffered)
		_ = there.Close()
	})
	p.work.Go(func() {
		_, _ = io.Copy(here, there)
		_ = here.Close()
	})
}

// throughProxy is set in the environment of the process that downloads through a
// proxy, whose certificates are read once in a process's life.
const throughProxy = "RBEE_TEST_THROUGH_PROXY"

func TestTheProxyIsTheOneThatTheEnvironmentNamesNow(t *testing.T) {
	env := map[string]string{}
	asked := make(chan string, 1)
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.String()
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(p.Close)
	o := quick()
	o.Env = func(name string) string { return env[name] }
	f := newFetcher(t, o)
	env["http_proxy"] = p.URL
	_, err := f.Text(t.Context(), fetch.File{URL: "http://example.com/x"}, 10)
	wantCode(t, err, ops.CodeNotFound)
	if got := <-asked; got != "http://example.com/x" {
		t.Errorf("it is asked for %s", got)
	}
	env["HTTP_PROXY"], env["NO_PROXY"] = "http://127.0.0.1:1", "127.0.0.1"
	_, err = f.Text(t.Context(), fetch.File{URL: p.URL + "/direct"}, 10)
	wantCode(t, err, ops.CodeNotFound)
	if got := <-asked; got != "/direct" {
		t.Errorf("without a proxy it is asked for %s", got)
	}
}

func TestAProxyThatCarriesNothingIsNamed(t *testing.T) {
	p := newProxy(t, "127.0.0.1:1")
	o := quick()
	o.Hive = "gpu1"
	env := map[string]string{}
	o.Env = func(name string) string { return env[name] }
	f := newFetcher(t, o)
	for _, address := range []string{strings.Replace(p.URL, "//", "//me:secret@", 1), "http://127.0.0.1:1"} {
		env["HTTPS_PROXY"] = address
		_, err := f.Text(t.Context(), fetch.File{URL: "https://8.8.8.8/x", Away: "is it there?"}, 10)
		wantCode(t, err, ops.CodeUnavailable)
		named := strings.Replace(address, "secret", "xxxxx", 1)
		if e := ops.AsError(err); !strings.Contains(e.Message, "through the proxy "+named+": ") || !strings.Contains(e.Hint, "`rbee hive env gpu1` shows") {
			t.Errorf("%v, hint %q", err, e.Hint)
		}
	}
	env["NO_PROXY"] = "127.0.0.2"
	_, err := f.Text(t.Context(), fetch.File{URL: "https://127.0.0.2:1/x", Away: "is it there?"}, 10)
	if e := ops.AsError(err); strings.Contains(e.Message, "proxy") || e.Hint != "is it there?" {
		t.Errorf("without the proxy: %v, hint %q", err, e.Hint)
	}
}

func TestDownloadsGoThroughTheProxy(t *testing.T) {
	if path := os.Getenv(throughProxy); path != "" {
		f := newFetcher(t, fetch.Options{Tries: 1})
		if _, err := f.Fetch(t.Context(), fetch.File{URL: "https://example.com/x.gguf", Size: -1, Begins: "GGUF"}, path, unseen); err != nil {
			t.Fatal(err)
		}
		return
	}
	s := newServer(t, 300_000)
	secure := httptest.NewTLSServer(s.Config.Handler)
	t.Cleanup(secure.Close)
	p := newProxy(t, strings.TrimPrefix(secure.URL, "https://"))
	dir := t.TempDir()
	cert := filepath.Join(dir, "cert.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(cert, text, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "x.gguf")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestDownloadsGoThroughTheProxy$")
	cmd.Env = append(os.Environ(), throughProxy+"="+path, "HTTPS_PROXY="+p.URL, "SSL_CERT_FILE="+cert, "NO_PROXY=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(s.data) || p.carried.Load() == 0 {
		t.Errorf("%d bytes, %v, over %d connections of the proxy", len(got), err, p.carried.Load())
	}
}
