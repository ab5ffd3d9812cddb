package jobtest_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"testing"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/job/jobtest"
	"rbee.dev/rbee/ops"
)

func nothing(context.Context, ops.HiveOp) (any, error) { return nil, nil }

// ask gets path over client and returns the status.
func ask(t *testing.T, client *http.Client, url string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode
}

func TestServersAreReachedWhereTheySay(t *testing.T) {
	needsToken := func(o *job.Options[ops.HiveOp]) { o.Token = "secret" }
	for name, start := range map[string]func() *jobtest.Server[ops.HiveOp]{
		"TCP":  func() *jobtest.Server[ops.HiveOp] { return jobtest.Serve(t, nothing, needsToken) },
		"Unix": func() *jobtest.Server[ops.HiveOp] { return jobtest.ServeUnix(t, nothing, needsToken) },
	} {
		t.Run(name, func(t *testing.T) {
			s := start()
			var dialer net.Dialer
			connections := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if s.Socket != "" {
					network, address = "unix", s.Socket
				}
				return dialer.DialContext(ctx, network, address)
			}}
			defer connections.CloseIdleConnections()
			client := &http.Client{Transport: connections}
			for range 2 {
				if status := ask(t, client, s.URL+"/health"); status != http.StatusOK {
					t.Errorf("health: %d", status)
				}
				if status := ask(t, client, s.URL+"/v1/jobs"); status != http.StatusUnauthorized {
					t.Errorf("without the token: %d", status)
				}
				s.Restart(nothing)
			}
			s.Close()
			if s.Socket == "" {
				return
			}
			if _, err := os.Stat(s.Socket); err == nil {
				t.Error("the socket is left")
			}
		})
	}
}
