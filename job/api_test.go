package job_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
)

func nothing(context.Context, ops.HiveOp) (any, error) { return nil, nil }

func TestBadSubmissionsAreRefusedByName(t *testing.T) {
	d := serve(t, nothing)
	for _, tt := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"unknown operation", `{"operation":"infre","prompt":"x"}`, 400, `did you mean \"infer\"`},
		{"another arm's operation", `{"operation":"hive_list"}`, 400, "operation"},
		{"unknown field", `{"operation":"infer","promt":"x"}`, 400, `did you mean \"prompt\"`},
		{"wrong type", `{"operation":"infer","prompt":"x","max_tokens":"many"}`, 400, "max_tokens"},
		{"out of range", `{"operation":"infer","prompt":"x","top_p":2}`, 400, "top_p"},
		{"empty prompt", `{"operation":"infer","prompt":" "}`, 400, "prompt"},
		{"bad job id", `{"operation":"infer","prompt":"x","job_id":"../../etc/passwd/x"}`, 400, "job_id"},
		{"not JSON", `prompt=x`, 400, "JSON"},
		{"cut off", `{"operation":"infer"`, 400, "JSON"},
		{"too large", `{"operation":"infer","prompt":"` + strings.Repeat("x", 9<<20) + `"}`, 400, "larger than 8 MiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, text := d.request(http.MethodPost, "/v1/jobs", tt.body)
			if status != tt.status || !strings.Contains(text, tt.want) {
				t.Errorf("%d %s, want %d with %s", status, text, tt.status, tt.want)
			}
		})
	}
	if _, text := d.request(http.MethodGet, "/v1/jobs", ""); text != `{"jobs":[]}`+"\n" {
		t.Errorf("something was created: %s", text)
	}
}

func TestWhoMayNot(t *testing.T) {
	d := serve(t, nothing, func(o *job.Options[ops.HiveOp]) { o.Token, o.Hosts = "secret", []string{"bees.example"} })
	good := []string{"Authorization", "Bearer secret"}
	for _, tt := range []struct {
		name         string
		method, path string
		header       []string
		status       int
	}{
		{"no token", "GET", "/v1/jobs", nil, 401},
		{"wrong token", "GET", "/v1/jobs", []string{"Authorization", "Bearer secreT"}, 401},
		{"a token without its scheme", "GET", "/v1/jobs", []string{"Authorization", "secret"}, 401},
		{"the beginning of the token", "GET", "/v1/jobs", []string{"Authorization", "Bearer secre"}, 401},
		{"a scheme in lower case", "GET", "/v1/jobs", []string{"Authorization", "bearer secret"}, 200},
		{"no token for a stream", "GET", "/v1/state/stream", nil, 401},
		{"no token for an unknown route", "GET", "/v1/nothing", nil, 404},
		{"no token and a method that the route does not take", "PUT", "/v1/jobs", nil, 405},
		{"no token for a part of a route", "GET", "/v1", nil, 404},
		{"another scheme", "GET", "/v1/jobs", []string{"Authorization", "Basic secret"}, 401},
		{"the token", "GET", "/v1/jobs", good, 200},
		{"health needs none", "GET", "/health", nil, 200},
		{"foreign host", "GET", "/health", []string{"Host", "evil.example"}, 403},
		{"foreign host with a port", "GET", "/v1/jobs", append([]string{"Host", "evil.example:7833"}, good...), 403},
		{"localhost by name", "GET", "/v1/jobs", append([]string{"Host", "localhost:7833"}, good...), 200},
		{"localhost in capitals", "GET", "/v1/jobs", append([]string{"Host", "LocalHost:7833"}, good...), 200},
		{"a host that begins with ours", "GET", "/v1/jobs", append([]string{"Host", "localhost.evil.example"}, good...), 403},
		{"a host that was added", "GET", "/v1/jobs", append([]string{"Host", "bees.example:7833"}, good...), 200},
		{"IPv6 loopback", "GET", "/v1/jobs", append([]string{"Host", "[::1]:7833"}, good...), 200},
		{"foreign origin", "GET", "/v1/jobs", append([]string{"Origin", "http://evil.example"}, good...), 403},
		{"a page without an origin", "GET", "/v1/jobs", append([]string{"Origin", "null"}, good...), 403},
		{"another local page", "GET", "/v1/jobs", append([]string{"Origin", "http://localhost:3000"}, good...), 403},
		{"a form's content type", "POST", "/v1/jobs", append([]string{"Content-Type", "text/plain"}, good...), 415},
		{"JSON with a charset", "POST", "/v1/jobs", append([]string{"Content-Type", "application/json; charset=utf-8"}, good...), 202},
		{"JSON with another charset", "POST", "/v1/jobs", append([]string{"Content-Type", "application/json; charset=latin1"}, good...), 415},
		{"JSON with a parameter of no meaning", "POST", "/v1/jobs", append([]string{"Content-Type", "application/json; x"}, good...), 202},
		{"a body that is compressed", "POST", "/v1/jobs", append([]string{"Content-Encoding", "gzip"}, good...), 415},
		{"a body that says it is not", "POST", "/v1/jobs", append([]string{"Content-Encoding", "identity"}, good...), 202},
		{"no content type", "POST", "/v1/jobs", append([]string{"Content-Type", ""}, good...), 415},
		{"unknown route", "GET", "/v1/nothing", good, 404},
		{"wrong method", "PUT", "/v1/jobs", good, 405},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, text := d.request(tt.method, tt.path, infer, tt.header...)
			if status != tt.status {
				t.Errorf("%d %s, want %d", status, text, tt.status)
			}
			if status >= 400 && !strings.Contains(text, `"message"`) {
				t.Errorf("no error in the body: %s", text)
			}
		})
	}
}

func TestAMountedRouteIsBehindTheChecks(t *testing.T) {
	d := serve(t, nothing, func(o *job.Options[ops.HiveOp]) { o.Token = "secret" })
	d.Mount(http.MethodGet, "/v1/mine", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	if status, _ := d.request("GET", "/v1/mine", ""); status != 401 {
		t.Errorf("without a token: %d", status)
	}
	if status, _ := d.request("GET", "/v1/mine", "", "Authorization", "Bearer secret"); status != 204 {
		t.Errorf("with it: %d", status)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	d := serve(t, nothing, func(o *job.Options[ops.HiveOp]) { o.Token = "secret" })
	good := []string{"Authorization", "Bearer secret"}
	for _, tt := range []struct {
		name         string
		method, path string
		header       []string
		want         ops.Error
	}{
		{"no token", "GET", "/v1/jobs", nil, ops.Error{
			Code: ops.CodeDenied, Message: "a bearer token is wanted",
			Hint: "send \"Authorization: Bearer TOKEN\" (rbee: --token or RBEE_TOKEN); `rbee queen token` prints it on the queen's machine",
		}},
		{"unknown route", "GET", "/v1/job", good, ops.Error{Code: ops.CodeNotFound, Message: "there is no such route"}},
		{"wrong method", "PUT", "/v1/jobs", good, ops.Error{Code: ops.CodeInvalid, Message: "the route does not take this method", Hint: "ask by GET or POST"}},
		{"unknown job", "DELETE", "/v1/jobs/none", good, ops.Error{
			Code: ops.CodeNotFound, Message: `there is no job "none"`,
			Hint: "`rbee job list` shows the jobs there are; finished ones are forgotten after 1h",
		}},
		{"a job that cannot be", "GET", "/v1/jobs/..%2F..%2Fx", good, ops.Error{
			Code: ops.CodeNotFound, Message: `there is no job "../../x"`,
			Hint: "`rbee job list` shows the jobs there are; finished ones are forgotten after 1h",
		}},
		{"a job with a percent sign", "GET", "/v1/jobs/a%252Fb", good, ops.Error{
			Code: ops.CodeNotFound, Message: `there is no job "a%2Fb"`,
			Hint: "`rbee job list` shows the jobs there are; finished ones are forgotten after 1h",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, text := d.request(tt.method, tt.path, "", tt.header...)
			var got ops.Error
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(ops.Error{})); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHealthTellsWhoServes(t *testing.T) {
	d := serve(t, nothing)
	_, text := d.request("GET", "/health", "")
	var got ops.Health
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := ops.Health{Status: "ok", Mode: "test", Version: "0", Build: "test", PID: os.Getpid()}
	if got != want {
		t.Errorf("health %+v, want %+v", got, want)
	}
}

func TestJobsAreListedNewestFirst(t *testing.T) {
	d := serve(t, nothing)
	var want, got []string
	for range 5 {
		want = append([]string{d.submit(infer)}, want...)
	}
	for _, j := range d.list() {
		got = append(got, j.ID)
		if string(j.Op) != infer || j.Operation != "infer" || j.CreatedAt.IsZero() || j.StartedAt == nil {
			t.Errorf("job %+v", j)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

func TestLookupsAreNotCounted(t *testing.T) {
	d := serve(t, nothing)
	for _, body := range []string{`{"operation":"model_list"}`, `{"operation":"worker_get","id":"w1"}`} {
		d.all(d.submit(body))
	}
	if counts := d.Jobs(); len(counts) != 0 {
		t.Errorf("of lookups alone, %v are counted", counts)
	}
	d.all(d.submit(infer))
	if counts := d.Jobs(); counts[ops.JobCompleted] != 1 || len(counts) != 1 {
		t.Errorf("with one job, %v are counted", counts)
	}
}

func TestHealthIsToldOfWithoutItsText(t *testing.T) {
	d := serve(t, func(context.Context, ops.HiveOp) (any, error) { return struct{}{}, nil })
	if status, text := d.request("HEAD", "/health", ""); status != 200 || text != "" {
		t.Errorf("HEAD /health answers %d with %q", status, text)
	}
}
