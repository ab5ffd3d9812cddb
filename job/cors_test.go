package job_test

import (
	"net/http"
	"strings"
	"testing"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
)

func TestPagesOfAnOpenedOriginAloneMayUseIt(t *testing.T) {
	d := serve(t, nothing, func(o *job.Options[ops.HiveOp]) { o.Token, o.Origins = "secret", []string{"https://app.example"} })
	for _, tt := range []struct {
		name, method, origin string
		header               []string
		status               int
		allowed              bool
	}{
		{"the opened one", "GET", "https://app.example", []string{"Authorization", "Bearer secret"}, 200, true},
		{"the opened one reads why it was refused", "GET", "https://app.example", nil, 401, true},
		{"another scheme", "GET", "http://app.example", []string{"Authorization", "Bearer secret"}, 403, false},
		{"another port", "GET", "https://app.example:8443", []string{"Authorization", "Bearer secret"}, 403, false},
		{"a name that ends alike", "GET", "https://evil-app.example", []string{"Authorization", "Bearer secret"}, 403, false},
		{"a name that begins alike", "GET", "https://app.example.evil", []string{"Authorization", "Bearer secret"}, 403, false},
		{"none at all", "GET", "null", []string{"Authorization", "Bearer secret"}, 403, false},
		{"a preflight", "OPTIONS", "https://app.example", []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,x-stainless-os"}, 204, true},
		{"a preflight of another", "OPTIONS", "https://evil.example", []string{"Access-Control-Request-Method", "POST"}, 403, false},
		{"options without a question, as a stranger", "OPTIONS", "https://app.example", nil, 401, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), tt.method, d.URL+"/v1/jobs", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Origin", tt.origin)
			for i := 0; i < len(tt.header); i += 2 {
				r.Header.Set(tt.header[i], tt.header[i+1])
			}
			answer, err := d.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			allow := answer.Header.Get("Access-Control-Allow-Origin")
			if tt.status == http.StatusOK && allow != "" && !strings.Contains(answer.Header.Get("Access-Control-Expose-Headers"), "X-Rbee-Job") {
				t.Errorf("a page may not read %q", answer.Header)
			}
			if answer.StatusCode != tt.status || (allow == tt.origin) != tt.allowed || !tt.allowed && allow != "" {
				t.Errorf("%d, allowed is %q; want %d", answer.StatusCode, allow, tt.status)
			}
			if answer.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("cookies are let through")
			}
			if tt.status == http.StatusNoContent && (!strings.Contains(answer.Header.Get("Access-Control-Allow-Headers"), "authorization") ||
				!strings.Contains(answer.Header.Get("Access-Control-Allow-Methods"), "POST")) {
				t.Errorf("what it may send: %v", answer.Header)
			}
			if !strings.Contains(strings.Join(answer.Header.Values("Vary"), ","), "Origin") {
				t.Error("a cache may give it to other pages")
			}
		})
	}
}

func TestWithoutOpenedOriginsNoPageIsAnswered(t *testing.T) {
	d := serve(t, nothing)
	for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS"} {
		if status, _ := d.request(method, "/v1/jobs", infer, "Origin", "https://app.example", "Access-Control-Request-Method", "POST"); status != 403 {
			t.Errorf("%s: %d", method, status)
		}
	}
}

// TestANameThatWasMadeToPointHereIsRefused is DNS rebinding: a page of
// evil.example, whose name points to this machine by now, is of the same origin
// as what it asks.
func TestANameThatWasMadeToPointHereIsRefused(t *testing.T) {
	d := serve(t, nothing)
	for _, route := range d.Routes() {
		method, path, _ := strings.Cut(route, " ")
		status, text := d.request(method, strings.Replace(path, ":id", "0123456789abcdef", 1), infer, "Host", "evil.example:7833", "Origin", "http://evil.example:7833")
		if status != 403 || method != http.MethodHead && !strings.Contains(text, "not served here") {
			t.Errorf("%s: %d %s", route, status, text)
		}
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(d.URL, "http://"), ":")
	for host, want := range map[string]int{"127.0.0.1:" + port: 202, "192.0.2.7:" + port: 403, "127.0.0.2:" + port: 403} {
		if status, text := d.request("POST", "/v1/jobs", infer, "Host", host); status != want {
			t.Errorf("%s: %d %s, want %d", host, status, text, want)
		}
	}
}

// TestWhoComesFromElsewhereIsToldWhatHelpsThere: names and origins are the queen's to
// open, and a daemon behind a socket has none.
func TestWhoComesFromElsewhereIsToldWhatHelpsThere(t *testing.T) {
	queen := func(o *job.Options[ops.HiveOp]) { o.HostHint, o.OriginHint = "give it that name", "open the origin" }
	for header, hints := range map[[2]string][2]string{
		{"Host", "evil.example"}:           {"send the Host localhost", "give it that name"},
		{"Origin", "https://evil.example"}: {"send no Origin", "open the origin"},
	} {
		for i, d := range []*daemon{serve(t, nothing), serve(t, nothing, queen)} {
			if status, text := d.request("GET", "/v1/jobs", "", header[0], header[1]); status != http.StatusForbidden || !strings.Contains(text, hints[i]) {
				t.Errorf("%s: %d %s, want %q", header, status, text, hints[i])
			}
		}
	}
}
