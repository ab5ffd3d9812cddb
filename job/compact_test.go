package job_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
)

func TestWhatIsRememberedStaysTheSameAfterABusyTime(t *testing.T) {
	runs, leave := make(chan struct{}), make(chan struct{})
	d := serve(t, func(ctx context.Context, o ops.HiveOp) (any, error) {
		tokens(ctx, 3)
		switch o.(ops.Infer).Prompt {
		case "fails":
			return nil, errors.New("it broke")
		case "runs":
			close(runs)
			<-leave
		}
		return "done", nil
	}, func(o *job.Options[ops.HiveOp]) { o.MaxFinished = 4 })
	running := d.submit(`{"operation":"infer","prompt":"runs"}`)
	<-runs
	ids := []string{d.run(infer), d.run(`{"operation":"infer","prompt":"fails"}`), d.run(infer)}
	before := d.list()
	streams := map[string][]frame{}
	for _, id := range ids {
		streams[id] = d.all(id)
	}
	<-d.Unread()
	d.Compact()
	if diff := cmp.Diff(before, d.list(), cmp.AllowUnexported(ops.Error{})); diff != "" {
		t.Errorf("the list has changed: %s", diff)
	}
	for _, id := range ids {
		if diff := cmp.Diff(streams[id], d.all(id), cmp.AllowUnexported(frame{})); diff != "" {
			t.Errorf("the stream of %s has changed: %s", id, diff)
		}
	}
	close(leave)
	if last := d.all(running); last[len(last)-1].data != "[DONE]" {
		t.Errorf("the job that ran ended with %v", last[len(last)-1])
	}
	<-d.Unread()
	ids = append(ids, running, d.run(infer))
	for i, id := range ids { // forgetting goes by their order still
		d.known(id, i > 0)
	}
}

func TestAJobThatIsReadStaysReadableThroughABusyTimesEnd(t *testing.T) {
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		tokens(ctx, 3)
		return "done", nil
	})
	id := d.run(infer)
	seen := 0
	err := d.eachFrame(t.Context(), id, 0, func(frame) bool {
		if seen++; seen == 1 {
			d.Compact()
		}
		return true
	})
	if err != nil || seen != len(d.all(id)) {
		t.Errorf("%d events came, %v", seen, err)
	}
}

func TestAJobKeepsItsCallerThroughABusyTimesEnd(t *testing.T) {
	d := serve(t, nothing, byName)
	const id = "0123456789abcdef"
	if status, text := d.request("POST", "/v1/jobs", `{"operation":"infer","prompt":"a","job_id":"`+id+`"}`, "X-Name", "ann"); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	if status, text := d.request("GET", "/v1/jobs/"+id+"/stream", "", "X-Name", "ann"); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	<-d.Unread()
	d.Compact()
	for name, want := range map[string]int{"ann": http.StatusOK, "bob": http.StatusNotFound} {
		if status, text := d.request("GET", "/v1/jobs/"+id, "", "X-Name", name); status != want {
			t.Errorf("%s is told %d %s", name, status, text)
		}
	}
}

func TestTheDaemonIsToldWhenABusyTimeIsOver(t *testing.T) {
	settled := make(chan struct{}, 1)
	d := serve(t, nothing, func(o *job.Options[ops.HiveOp]) { o.Settled = func() { settled <- struct{}{} } })
	for range 100 {
		d.run(infer)
	}
	select {
	case <-settled:
	case <-time.After(time.Minute):
		t.Error("it is not told")
	}
}
