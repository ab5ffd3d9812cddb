package job_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
)

// heap is how much memory is in use, once what is not is freed.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools let go in the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestAThousandJobsAtOnce(t *testing.T) {
	const n, each = 1000, 20
	var there sync.WaitGroup
	there.Add(n)
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		tokens(ctx, each/2)
		there.Wait() // so that all of them do run and are read at once
		for i := each / 2; i < each; i++ {
			ops.Emit(ctx, ops.TokenEvent{Text: fmt.Sprintf("t%d", i+1)})
		}
		return "done", nil
	}, func(o *job.Options[ops.HiveOp]) { o.MaxFinished = 10 })
	before := heap()
	var readers sync.WaitGroup
	for range n {
		readers.Go(func() {
			var got []frame
			err := d.eachFrame(t.Context(), d.submit(infer), 0, func(f frame) bool {
				if got = append(got, f); len(got) == 1 {
					there.Done()
				}
				return true
			})
			if err == nil {
				err = inOrder(got, each)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	readers.Wait()
	<-d.Unread() // a client may know the end before the server does
	jobs := d.Jobs()
	for began := time.Now(); jobs[ops.JobCompleted] != 10 && time.Since(began) < time.Minute; jobs = d.Jobs() { // which counts them a moment later
		time.Sleep(time.Millisecond)
	}
	if jobs[ops.JobCompleted] != 10 || len(jobs) != 1 {
		t.Errorf("jobs %v, want the 10 that are remembered", jobs)
	}
	d.client.CloseIdleConnections()
	grown := heap() - before
	t.Logf("%d jobs at once left %d KiB in use", n, grown>>10)
	if grown > 24<<20 {
		t.Errorf("%d jobs at once left %d bytes in use", n, grown)
	}
}

func TestFinishedJobsTakeLittleMemory(t *testing.T) {
	const jobs, events = 20, 100
	text := strings.Repeat("x", 2000)
	var running sync.WaitGroup
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		defer running.Done()
		for range events {
			ops.Emit(ctx, ops.TokenEvent{Text: text})
		}
		return "done", nil
	})
	before := heap()
	running.Add(jobs)
	for range jobs { // 6 MB of operations, 4 MB of events
		d.submit(large)
	}
	running.Wait()
	for _, j := range d.list() {
		d.all(j.ID) // to the end, so that the job is over
	}
	d.client.CloseIdleConnections()
	if grown := heap() - before; grown > 2<<20 {
		t.Errorf("%d finished jobs hold %d bytes of memory", jobs, grown)
	}
}

func TestARunningJobHoldsItsTailOnly(t *testing.T) {
	const events = 20_000
	said, stop := make(chan struct{}), make(chan struct{})
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		for range events {
			ops.Emit(ctx, ops.TokenEvent{Text: "a few words of a story about bees"})
		}
		close(said)
		<-stop
		return "done", nil
	}, func(o *job.Options[ops.HiveOp]) { o.TailBytes = 16 << 10 })
	before := heap()
	id := d.submit(infer)
	<-said
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("a job with %d events holds %d bytes of memory", events, grown)
	}
	close(stop)
	if got := d.all(id); len(got) != events+2 {
		t.Errorf("%d events, want %d", len(got), events+2)
	}
}
