package job_test

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
)

// run runs a job to its end and until nobody reads it any more.
func (d *daemon) run(body string) (id string) {
	d.t.Helper()
	id = d.submit(body)
	d.all(id)
	<-d.Unread()
	return id
}

// known checks that the job is remembered, or is forgotten: a job counts as
// finished a moment after the readers of its stream have seen its end.
func (d *daemon) known(id string, want bool) {
	d.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		status, text := d.request(http.MethodGet, "/v1/jobs/"+id, "")
		known := status == http.StatusOK
		if known == want {
			return
		}
		if want || time.Now().After(deadline) {
			d.t.Errorf("job %s: %d %s, want it remembered: %t", id, status, text, want)
			return
		}
	}
}

// leaves wants n files in the daemon's folder, beside those that wait to be logs. A
// job's log may get its name only after the job is over.
func (d *daemon) leaves(n int) {
	d.t.Helper()
	var files []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		var err error
		if files, err = filepath.Glob(filepath.Join(d.Options.Dir, "[^.]*")); err != nil {
			d.t.Fatal(err)
		}
		if len(files) == n {
			return
		}
	}
	d.t.Errorf("%d logs are left, want %d: %v", len(files), n, files)
}

func TestWhoLooksOftenPushesNoOtherJobOut(t *testing.T) {
	d := serve(t, nothing, func(o *job.Options[ops.HiveOp]) { o.MaxFinished = 3 })
	const look = `{"operation":"worker_list"}`
	first, second := d.run(infer), d.run(infer)
	var looks []string
	for range 4 {
		looks = append(looks, d.run(look))
	}
	d.known(first, true)
	d.known(second, true)
	for i, id := range looks {
		d.known(id, i == 3)
	}
	d.client.CloseIdleConnections() // a POST is not tried again on another
	d.Restart(nothing)
	third := d.run(infer)
	d.known(looks[3], false)
	fourth := d.run(infer) // of which there are too many by themselves
	for id, want := range map[string]bool{first: false, second: true, third: true, fourth: true} {
		d.known(id, want)
	}
	d.leaves(3)
}

func TestTheOldestFinishedJobsAreForgottenWithTheirFiles(t *testing.T) {
	d := serve(t, nothing, func(o *job.Options[ops.HiveOp]) { o.MaxFinished = 3 })
	var ids []string
	for range 6 {
		ids = append(ids, d.run(infer))
	}
	for i, id := range ids {
		d.known(id, i >= 3)
	}
	d.leaves(3)
	d.client.CloseIdleConnections() // a POST is not tried again on another
	d.Restart(nothing)
	ids = append(ids, d.run(infer))
	for i, id := range ids {
		d.known(id, i >= 4)
	}
}

func TestAFinishedJobIsForgottenAfterItsTime(t *testing.T) {
	began, end := make(chan struct{}), make(chan struct{})
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		tokens(ctx, 1)
		close(began)
		<-end
		return "done", nil
	}, func(o *job.Options[ops.HiveOp]) { o.Retain = time.Nanosecond })
	id := d.submit(`{"operation":"infer","prompt":"x","job_id":"aaaaaaaaaaaaaaaa"}`)
	<-began
	d.known(id, true) // it runs, however long
	first, rest := d.following(id)
	<-first
	close(end)
	<-rest
	<-d.Unread()
	d.known(id, false)
	d.leaves(0)
	_, text := d.request(http.MethodGet, "/v1/jobs/"+id+"/stream", "")
	if !strings.Contains(text, "forgotten after 1ns") {
		t.Errorf("the stream of a forgotten job: %s", text)
	}
}

func TestAJobThatIsReadIsNotForgotten(t *testing.T) {
	const n = 20
	big := strings.Repeat("x", 1<<20) // n of them are more than connections hold
	d := serve(t, func(ctx context.Context, o ops.HiveOp) (any, error) {
		if o.(ops.Infer).Prompt == "much" {
			for range n {
				ops.Emit(ctx, ops.TokenEvent{Text: big})
			}
		}
		return "done", nil
	}, func(o *job.Options[ops.HiveOp]) { o.MaxFinished = 1 })
	id, got := d.submit(`{"operation":"infer","prompt":"much"}`), 0
	err := d.eachFrame(t.Context(), id, 0, func(frame) bool {
		if got++; got == 1 { // most is still to be sent
			for range 3 {
				d.all(d.submit(infer))
			}
			d.known(id, true)
		}
		return true
	})
	if err != nil || got != n+2 {
		t.Errorf("%d events, %v, want %d", got, err, n+2)
	}
	<-d.Unread()
	d.run(infer)
	d.known(id, false)
}
