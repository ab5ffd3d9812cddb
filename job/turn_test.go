package job_test

import (
	"context"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestAJobIsQueuedWhileItsWorkWaitsForItsTurn(t *testing.T) {
	waits, go1, runs, go2 := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		ops.Waits(ops.WithSink(ctx, wrapped{ops.SinkOf(ctx)}), true) // also for who listens in on the job
		close(waits)
		<-go1
		ops.Waits(ctx, false)
		close(runs)
		<-go2
		return struct{}{}, nil
	})
	id := d.submit(infer)
	<-waits
	if j := d.job(id); j.State != ops.JobQueued || j.StartedAt != nil || j.FinishedAt != nil {
		t.Errorf("while it waits it is %+v", j)
	}
	if n := d.Jobs(); n[ops.JobQueued] != 1 || n[ops.JobRunning] != 0 {
		t.Errorf("of the jobs are %v", n)
	}
	close(go1)
	<-runs
	if j := d.job(id); j.State != ops.JobRunning || j.StartedAt == nil {
		t.Errorf("when it has got its turn it is %+v", j)
	}
	close(go2)
	d.all(id)
	if j := d.job(id); j.State != ops.JobCompleted || j.StartedAt == nil || j.FinishedAt == nil {
		t.Errorf("in the end it is %+v", j)
	}
}

func TestAJobThatWaitsForAnotherAttemptHasBegunAtItsFirst(t *testing.T) {
	turns := make(chan struct{})
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		ops.SinkOf(ctx).Mark(nil, ops.Cursor{Target: "w1", JobID: "x"})
		turns <- struct{}{}
		for _, waits := range []bool{true, false} {
			ops.Waits(ctx, waits)
			turns <- struct{}{}
			<-turns
		}
		return struct{}{}, nil
	})
	id := d.submit(infer)
	<-turns
	first := d.job(id).StartedAt
	if first == nil {
		t.Fatal("it has not begun")
	}
	<-turns
	if j := d.job(id); j.State != ops.JobQueued || j.StartedAt == nil || !j.StartedAt.Equal(*first) {
		t.Errorf("while it waits again it is %+v, begun %v", j, first)
	}
	turns <- struct{}{}
	<-turns
	turns <- struct{}{}
	d.all(id)
	if j := d.job(id); j.StartedAt == nil || !j.StartedAt.Equal(*first) {
		t.Errorf("in the end it is %+v, begun %v", j, first)
	}
}

// wrapped is a sink of another kind than a job.
type wrapped struct{ ops.Sink }

func TestAJobThatIsCancelledInTheQueueNeverRan(t *testing.T) {
	waits := make(chan struct{})
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		ops.Waits(ctx, true)
		close(waits)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	id := d.submit(infer)
	<-waits
	d.request("DELETE", "/v1/jobs/"+id, "")
	d.all(id)
	if j := d.job(id); j.State != ops.JobCancelled || j.StartedAt != nil || j.FinishedAt == nil {
		t.Errorf("it is %+v", j)
	}
}
