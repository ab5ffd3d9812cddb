package jobtest

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Door is a listener as strangers find it.
type Door struct {
	// URL is where it is reached, without a slash at the end.
	URL string
	// Client sends the requests; nil is one for TCP.
	Client *http.Client
	// Routes are all there are behind it, as [job.Server.Routes] lists them.
	Routes []string
	// Token opens every route; "" where none is wanted.
	Token string
	// Open are the routes that want no token all the same.
	Open []string
	// Stranger is what marks a request as one from elsewhere, where a program of
	// the same machine needs no token.
	Stranger http.Header
}

// HoldsOff fails the test for each route that a web page could reach through a
// browser, or somebody without the token: by a foreign name or a foreign page 403,
// with a body that is not marked as JSON 415, without the token or with another 401.
// No such request gets as far as a handler, so that it does not matter what the
// route does.
func (d Door) HoldsOff(t *testing.T) {
	t.Helper()
	if len(d.Routes) < 8 {
		t.Fatalf("only %d routes: %v", len(d.Routes), d.Routes)
	}
	for _, route := range d.Routes {
		for name, header := range foreign {
			d.refuses(t, route, name, http.StatusForbidden, d.authorized(), header)
		}
		if strings.HasPrefix(route, http.MethodPost+" ") {
			for name, header := range plain {
				d.refuses(t, route, name, http.StatusUnsupportedMediaType, d.authorized(), header)
			}
		}
		if d.Token == "" || slices.Contains(d.Open, route) {
			continue
		}
		for name, header := range d.unknown() {
			d.refuses(t, route, name, http.StatusUnauthorized, d.Stranger, header)
		}
	}
	if status, _ := d.send(t, "GET /health", d.authorized()); status != http.StatusOK {
		t.Errorf("who may is refused too: %d", status)
	}
}

// foreign is what a page from elsewhere cannot keep a browser from saying.
var foreign = map[string]http.Header{
	"a foreign name":                  {"Host": {"evil.example"}},
	"a name that begins with our own": {"Host": {"localhost.evil.example:7833"}},
	"a foreign page":                  {"Origin": {"https://evil.example"}},
	"a page without an origin":        {"Origin": {"null"}},
	"a page of another program here":  {"Origin": {"http://localhost:3000"}},
}

// plain is what a page may send anywhere without asking first.
var plain = map[string]http.Header{
	"no content type":   {"Content-Type": {""}},
	"plain text":        {"Content-Type": {"text/plain"}},
	"text that says so": {"Content-Type": {"text/plain; application/json"}},
	"a form":            {"Content-Type": {"application/x-www-form-urlencoded"}},
	"a form with files": {"Content-Type": {"multipart/form-data; boundary=x"}},
}

// unknown is who brings no token, or not the right one.
func (d Door) unknown() map[string]http.Header {
	return map[string]http.Header{
		"no token":            {},
		"another token":       {"Authorization": {"Bearer " + strings.ToLower(d.Token) + "x"}},
		"the token's start":   {"Authorization": {"Bearer " + d.Token[:len(d.Token)-1]}},
		"no scheme":           {"Authorization": {d.Token}},
		"another scheme":      {"Authorization": {"Basic " + d.Token}},
		"a token in a cookie": {"Cookie": {"token=" + d.Token}},
	}
}

func (d Door) authorized() http.Header {
	if d.Token == "" {
		return http.Header{}
	}
	return http.Header{"Authorization": {"Bearer " + d.Token}}
}

func (d Door) refuses(t *testing.T, route, who string, status int, headers ...http.Header) {
	t.Helper()
	got, allowed := d.send(t, route, headers...)
	if got != status {
		t.Errorf("%s by %s: %d, want %d", route, who, got, status)
	}
	if allowed != "" {
		t.Errorf("%s by %s: the page of %s may read the answer", route, who, allowed)
	}
}

// send sends a request for a route. It returns the answer's status, and the pages
// that a browser lets read it.
func (d Door) send(t *testing.T, route string, headers ...http.Header) (status int, allowed string) {
	t.Helper()
	method, path, _ := strings.Cut(route, " ")
	for _, variable := range []string{":model", ":file", ":id", "*"} {
		path = strings.ReplaceAll(path, variable, "0123456789abcdef")
	}
	r, err := http.NewRequestWithContext(t.Context(), method, d.URL+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		maps.Copy(r.Header, h)
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	client := d.Client
	if client == nil {
		client = http.DefaultClient
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Error(err)
	}
	return answer.StatusCode, answer.Header.Get("Access-Control-Allow-Origin")
}
