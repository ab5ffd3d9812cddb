package queen

import (
	"context"
	"net/http"
	"testing"

	"rbee.dev/rbee/job/jobtest"
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
	jobtest.Door{
		URL: "http://" + q.address, Routes: routes, Token: q.access.Token, Open: []string{"GET /health", "HEAD /health"},
		Stranger: http.Header{"X-Forwarded-For": {"203.0.113.9"}}, // the own machine's programs need no key yet
	}.HoldsOff(t)
	if _, ok := q.access.Scope("GET /v1/new"); ok {
		t.Error("a route that nobody has listed has a scope")
	}
}
