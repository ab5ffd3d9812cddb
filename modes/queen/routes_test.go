package queen

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

func TestEveryRouteSaysWhoMayUseIt(t *testing.T) {
	q, err := New(options(t, "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	defer http.DefaultClient.CloseIdleConnections()
	answer, err := http.Get("http://" + q.address + "/health") //nolint:noctx // it waits until the queen serves
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	routes := q.jobs.Routes()
	if len(routes) < 15 {
		t.Fatalf("only %d routes", len(routes))
	}
	for _, r := range routes {
		if _, ok := q.access.Scope(r); !ok {
			t.Errorf("%s is in no table: say in access/scope.go who may use it", r)
		}
	}
	for _, r := range routes {
		for name, headers := range map[string][2]string{"a foreign name": {"Host", "evil.example"}, "a foreign page": {"Origin", "https://evil.example"}} {
			if status := q.ask(t, r, headers[0], headers[1]); status != http.StatusForbidden {
				t.Errorf("%s under %s: %d", r, name, status)
			}
		}
		scope, _ := q.access.Scope(r)
		if status := q.ask(t, r, "X-Forwarded-For", "203.0.113.9"); scope != "open" && status != http.StatusUnauthorized {
			t.Errorf("%s (%s) without a key, from elsewhere: %d", r, scope, status)
		}
	}
	if _, ok := q.access.Scope("GET /v1/new"); ok {
		t.Error("a route that nobody has listed has a scope")
	}
}

// ask sends a request for a route with one header, and returns the status.
func (q *Queen) ask(t *testing.T, route, name, value string) int {
	t.Helper()
	method, path, _ := strings.Cut(route, " ")
	path = strings.NewReplacer(":id", "0123456789abcdef", "*", "x").Replace(path)
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+q.address+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if r.Header.Set(name, value); name == "Host" {
		r.Host = value
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}
