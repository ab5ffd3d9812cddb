package modes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

// browserWithin is how long a browser may take to start and to run a page.
const browserWithin = 2 * time.Minute

// attack is a page that tries what pages can at a queen, with a body for her
// /v1/completions and a token, and tells its own server how that went: what it
// could read, or why it could not.
const attack = `<!doctype html><meta charset="utf-8"><script>
const [queen, body, token] = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const json = {"Content-Type": "application/json"};
const told = {};
const attempt = async (name, path, options) => {
  try {
    const answer = await fetch(queen + path, options);
    told[name] = answer.type + " " + answer.status + " " + await answer.text();
  } catch (e) {
    told[name] = "refused: " + e.message;
  }
};
(async () => {
  await attempt("read", "/v1/models");
  await attempt("health", "/health");
  await attempt("post", "/v1/completions", {method: "POST", headers: json, body});
  await attempt("text", "/v1/completions", {method: "POST", headers: {"Content-Type": "text/plain"}, body});
  await attempt("blind", "/v1/completions", {method: "POST", mode: "no-cors", body});
  await attempt("jobs", "/v1/jobs", {headers: {Authorization: "Bearer " + token}});
  await fetch("/told", {method: "POST", headers: json, body: JSON.stringify(told)});
})();
</script>`

// browser finds one.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("CI needs a browser: Debian's chromium")
	}
	t.Skip("there is no chromium here")
	return ""
}

// browse opens the page in a browser and returns what it tells.
func browse(t *testing.T, page *webPage, queen, token string) map[string]string {
	t.Helper()
	with, err := json.Marshal([]string{queen, `{"model":"tinybee","prompt":"Once","max_tokens":2}`, token})
	if err != nil {
		t.Fatal(err)
	}
	profile, err := os.MkdirTemp("", "rbee-browser-") //nolint:usetesting // what is killed may still write there
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), browserWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser(t), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-background-networking", "--no-first-run", "--user-data-dir="+profile,
		"--disable-features=LocalNetworkAccessChecks", // what the queen does herself is looked at
		"--host-resolver-rules=MAP *.example 127.0.0.1", "--remote-debugging-port=0", page.origin+"/#"+string(with))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it starts others, which end with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // it was killed
		_ = os.RemoveAll(profile)
	}()
	select {
	case told := <-page.told:
		return told
	case <-ctx.Done():
		t.Fatalf("the browser tells nothing: %s", said.String())
		return nil
	}
}

// webPage is the page, at an origin of its own.
type webPage struct {
	origin string
	told   chan map[string]string
}

func newWebPage(t *testing.T, name string) *webPage {
	t.Helper()
	s := &webPage{told: make(chan map[string]string, 1)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "GET /":
			_, _ = fmt.Fprint(w, attack)
		case "POST /told":
			var told map[string]string
			if err := json.NewDecoder(r.Body).Decode(&told); err != nil {
				t.Error(err)
			}
			s.told <- told
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	s.origin = strings.Replace(server.URL, "127.0.0.1", name, 1)
	return s
}

// TestAPageInABrowserReachesAQueenOnlyIfItsOriginIsOpened is about a real browser,
// whose pages try to read and to post.
func TestAPageInABrowserReachesAQueenOnlyIfItsOriginIsOpened(t *testing.T) {
	browser(t)
	p := newPlace(t)
	foreign, app, local := newWebPage(t, "evil.example"), newWebPage(t, "app.example"), newWebPage(t, "localhost")
	token := strings.TrimSpace(p.rbee("queen", "token"))
	shut := func(s *webPage) {
		t.Helper()
		told := browse(t, s, "http://"+p.record("queen").Address, token)
		for _, name := range []string{"read", "health", "post", "text", "jobs"} {
			if !strings.HasPrefix(told[name], "refused: ") {
				t.Errorf("a page of %s, %s: %q", s.origin, name, told[name])
			}
		}
		if told["blind"] != "opaque 0 " {
			t.Errorf("a page of %s posts without looking: %q", s.origin, told["blind"])
		}
	}
	shut(foreign)
	shut(local)
	p.answered(0)

	p.rbee("queen", "stop")
	t.Setenv("RBEE_CORS_ORIGINS", app.origin)
	p.rbee("queen", "start")
	told := browse(t, app, "http://"+p.record("queen").Address, token)
	for name, want := range map[string]string{
		"read": `cors 200 {"object":"list"`, "post": "cors 200 {", "text": "cors 415 {", "blind": "opaque 0 ", "health": "cors 200 {", "jobs": `cors 200 {"jobs":`,
	} {
		if !strings.HasPrefix(told[name], want) {
			t.Errorf("a page of the origin that is opened, %s: %q, want %q", name, told[name], want)
		}
	}
	shut(foreign)
	p.answered(1)
}

// answered wants that so many requests have been answered by models.
func (p *place) answered(want int64) {
	p.t.Helper()
	var report ops.UsageReport
	if err := json.Unmarshal([]byte(p.rbee("usage", "-o", "json")), &report); err != nil {
		p.t.Fatal(err)
	}
	if report.Total.Requests != want {
		p.t.Errorf("%d requests were answered, and %d should be: %+v", report.Total.Requests, want, report.Usage)
	}
}
