package job_test

import (
	"context"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
)

// TestWhatIsRefusedBecomesNoJob: whoever asks is told why at once, by its status.
func TestWhatIsRefusedBecomesNoJob(t *testing.T) {
	var by string
	d := serve(t, nothing, byName, func(o *job.Options[ops.HiveOp]) {
		o.Refuse = func(ctx context.Context, o ops.HiveOp) error {
			by = ops.CallerOf(ctx)
			e := ops.Errorf(ops.CodeNotFound, "there is no hive %q", o.Hive()).WithHint("did you mean %q?", "gpu1")
			e.Field = "hive_id"
			return e
		}
	})
	for _, accept := range []string{"*/*", "text/event-stream"} {
		status, text := d.request("POST", "/v1/jobs", `{"operation":"infer","prompt":"a","hive_id":"gpu"}`, "X-Name", "ann", "Accept", accept)
		var got ops.Error
		if err := json.Unmarshal([]byte(text), &got); status != http.StatusNotFound || err != nil || by != "ann" {
			t.Errorf("to %q, who asks for %s: %d %s", by, accept, status, text)
		}
		want := ops.Error{Code: ops.CodeNotFound, Message: `there is no hive "gpu"`, Field: "hive_id", Hint: `did you mean "gpu1"?`}
		if diff := cmp.Diff(want.Error()+want.Hint, got.Error()+got.Hint); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if _, text := d.request("GET", "/v1/jobs", "", "X-Name", "boss"); text != "{\"jobs\":[]}\n" {
		t.Errorf("there are jobs: %s", text)
	}
	if status, text := d.request("POST", "/v1/jobs", `{"operation":"worker_list"}`, "X-Name", "ann"); status != http.StatusForbidden {
		t.Errorf("what she may not do at all: %d %s", status, text)
	}
}

// TestAJobThatThereIsIsNotRefused: its answer was lost, and by now it has done what makes
// it impossible to begin.
func TestAJobThatThereIsIsNotRefused(t *testing.T) {
	var ended atomic.Bool
	d := serve(t, func(context.Context, ops.HiveOp) (any, error) {
		ended.Store(true)
		return nil, nil
	}, func(o *job.Options[ops.HiveOp]) {
		o.Refuse = func(context.Context, ops.HiveOp) error {
			if ended.Load() {
				return ops.Errorf(ops.CodeNotFound, "there is no such worker")
			}
			return nil
		}
	})
	const body = `{"operation":"worker_delete","id":"w1","job_id":"0123456789abcdef"}`
	for range 2 {
		d.all(d.submit(body))
	}
	d.Restart(nothing)
	d.all(d.submit(body))
	if status, text := d.request("POST", "/v1/jobs", `{"operation":"worker_delete","id":"w2","job_id":"0123456789abcdef"}`); status != http.StatusConflict {
		t.Errorf("another one by its id: %d %s", status, text)
	}
	if status, text := d.request("POST", "/v1/jobs", `{"operation":"worker_delete","id":"w1"}`); status != http.StatusNotFound {
		t.Errorf("the same anew: %d %s", status, text)
	}
}
