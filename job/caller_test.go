package job_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
)

// byName admits whoever gives a name; those but the boss see their own jobs only.
func byName(o *job.Options[ops.HiveOp]) {
	o.Admit = func(r *http.Request, route string) (*http.Request, error) {
		name := r.Header.Get("X-Name")
		if name == "" {
			return nil, job.Refusal{Status: http.StatusUnauthorized, Failure: ops.Errorf(ops.CodeDenied, "who asks for %s?", route)}
		}
		c := job.Caller{ID: name, Own: name != "boss", May: func(o ops.Op) error {
			if o.Name() != "infer" {
				return ops.Errorf(ops.CodeDenied, "not for you")
			}
			return nil
		}}
		return r.WithContext(job.WithCaller(r.Context(), c)), nil
	}
}

func TestACallerHasItsOwnJobsAlone(t *testing.T) {
	said := make(chan string, 3)
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		said <- ops.CallerOf(ctx)
		return nil, nil
	}, byName)
	const id = "0123456789abcdef"
	status, text := d.request("POST", "/v1/jobs", `{"operation":"infer","prompt":"a","job_id":"`+id+`"}`, "X-Name", "ann")
	if status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	if by := <-said; by != "ann" {
		t.Errorf("the work is %q's", by)
	}
	d.Restart(nothing) // who it is of is in its log
	for _, tt := range []struct {
		name, method, path string
		want               int
	}{
		{"ann", "GET", "/v1/jobs/" + id, 200},
		{"ann", "GET", "/v1/jobs/" + id + "/stream", 200},
		{"boss", "GET", "/v1/jobs/" + id, 200},
		{"bob", "GET", "/v1/jobs/" + id, 404},
		{"bob", "GET", "/v1/jobs/" + id + "/stream", 404},
		{"bob", "DELETE", "/v1/jobs/" + id, 404},
		{"", "GET", "/v1/jobs", 401},
		{"", "GET", "/v1/nothing", 404},
	} {
		if status, text := d.request(tt.method, tt.path, "", "X-Name", tt.name); status != tt.want || status == 404 && strings.Contains(text, "mean") {
			t.Errorf("%s %s by %q: %d %s, want %d", tt.method, tt.path, tt.name, status, text, tt.want)
		}
	}
	for name, want := range map[string]int{"ann": 1, "boss": 1, "bob": 0} {
		var list ops.Jobs
		_, text := d.request("GET", "/v1/jobs", "", "X-Name", name)
		if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Jobs) != want || want > 0 && list.Jobs[0].By != "ann" {
			t.Errorf("%s sees %s", name, text)
		}
	}
	if status, text := d.request("POST", "/v1/jobs", `{"operation":"infer","prompt":"a","job_id":"`+id+`"}`, "X-Name", "bob"); status != 409 {
		t.Errorf("bob gets ann's job by its id: %d %s", status, text)
	}
	if status, text := d.request("POST", "/v1/jobs", `{"operation":"worker_list"}`, "X-Name", "ann"); status != 403 || !strings.Contains(text, "not for you") {
		t.Errorf("what she may not: %d %s", status, text)
	}
}

func TestARefusalHasItsStatusAndHeadersAndOtherWordsWhereAsked(t *testing.T) {
	d := serve(t, nothing, func(o *job.Options[ops.HiveOp]) {
		o.Admit = func(*http.Request, string) (*http.Request, error) {
			return nil, job.Refusal{Status: http.StatusTooManyRequests, After: 1500e6, Failure: ops.Errorf(ops.CodeUnavailable, "slowly")}
		}
		o.Tell = func(w http.ResponseWriter, r *http.Request, refusal job.Refusal) bool {
			if r.URL.Path != "/v1/other" {
				return false
			}
			w.WriteHeader(refusal.Status)
			_, _ = w.Write([]byte("in other words: " + refusal.Error()))
			return true
		}
	})
	d.Mount(http.MethodGet, "/v1/other", http.NotFoundHandler())
	for path, want := range map[string]string{"/v1/jobs": `"message":"slowly"`, "/v1/other": "in other words: slowly"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := d.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		_, text := d.request("GET", path, "")
		if answer.StatusCode != 429 || answer.Header.Get("Retry-After") != "2" || !strings.Contains(text, want) {
			t.Errorf("%s: %d %q %s", path, answer.StatusCode, answer.Header.Get("Retry-After"), text)
		}
	}
}
