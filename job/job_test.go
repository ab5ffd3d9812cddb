package job_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestHowAJobEnds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		run   work
		state ops.JobState
		last  []string // data of the last two events
	}{
		{
			"done", func(context.Context, ops.HiveOp) (any, error) { return map[string]int{"n": 1}, nil },
			ops.JobCompleted,
			[]string{`{"n":1}`, "[DONE]"},
		},
		{"an error with a code", func(context.Context, ops.HiveOp) (any, error) {
			return nil, ops.Errorf(ops.CodeNotFound, "no such\nthing").WithHint("look elsewhere")
		}, ops.JobFailed, []string{`{"code":"not_found","message":"no such\nthing","hint":"look elsewhere"}`, "[ERROR] no such thing"}},
		{
			"an error without", func(context.Context, ops.HiveOp) (any, error) { return nil, errors.New("odd") },
			ops.JobFailed,
			[]string{`{"code":"internal","message":"odd"}`, "[ERROR] odd"},
		},
		{
			"a panic", func(context.Context, ops.HiveOp) (any, error) { panic("ouch") },
			ops.JobFailed,
			[]string{`{"code":"internal","message":"the operation panicked: ouch"}`, "[ERROR] the operation panicked: ouch"},
		},
		{
			"a result that cannot be encoded", func(context.Context, ops.HiveOp) (any, error) { return make(chan int), nil },
			ops.JobFailed, nil,
		},
		{
			"cancelled elsewhere", func(context.Context, ops.HiveOp) (any, error) { return nil, ops.Errorf(ops.CodeCancelled, "enough") },
			ops.JobCancelled,
			[]string{`{"code":"cancelled","message":"enough"}`, "[CANCELLED]"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := serve(t, tt.run)
			id := d.submit(infer)
			frames := d.all(id)
			if j := d.job(id); j.State != tt.state || j.FinishedAt == nil || j.Events != uint64(len(frames)) {
				t.Errorf("job %+v, want state %s and %d events", j, tt.state, len(frames))
			}
			for i, want := range tt.last {
				if got := frames[len(frames)-2+i].data; got != strings.ReplaceAll(want, "\n", `\n`) {
					t.Errorf("event %d is %s, want %s", i, got, want)
				}
			}
		})
	}
}

func TestCancelling(t *testing.T) {
	started := make(chan struct{})
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		close(started)
		<-ctx.Done()
		return nil, errors.New("noticed somehow")
	})
	id := d.submit(infer)
	<-started
	if status, _ := d.request(http.MethodDelete, "/v1/jobs/"+id, ""); status != http.StatusOK {
		t.Errorf("DELETE answered %d", status)
	}
	frames := d.all(id)
	if j := d.job(id); j.State != ops.JobCancelled || frames[len(frames)-1].data != "[CANCELLED]" || j.Error.Code != ops.CodeCancelled {
		t.Errorf("job %+v, events %v", j, frames)
	}
	if status, text := d.request(http.MethodDelete, "/v1/jobs/"+id, ""); status != http.StatusOK || !strings.Contains(text, "cancelled") {
		t.Errorf("cancelling again: %d %s", status, text)
	}
}

func TestTheSubmittersIDMakesAJobRunOnce(t *testing.T) {
	var runs atomic.Int32
	d := serve(t, func(context.Context, ops.HiveOp) (any, error) { runs.Add(1); return nil, nil })
	const body = `{"operation":"infer","prompt":"x","job_id":"0123456789abcdef","max_tokens":5}`
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if id := d.submit(body); id != "0123456789abcdef" {
				t.Errorf("got id %s", id)
			}
		})
	}
	all.Wait()
	d.submit(`{"max_tokens":5, "job_id":"0123456789abcdef", "prompt":"x","operation":"infer"}`) // the same, said otherwise
	d.all("0123456789abcdef")
	if n := runs.Load(); n != 1 {
		t.Errorf("it ran %d times", n)
	}
	status, text := d.request(http.MethodPost, "/v1/jobs", strings.Replace(body, `"x"`, `"y"`, 1))
	if status != http.StatusConflict || !strings.Contains(text, "job_id") {
		t.Errorf("another operation under the id: %d %s", status, text)
	}
}
