package queen

import (
	"context"
	"time"

	"rbee.dev/rbee/ops"
)

// gatherWithin is how long the requests that waited at an earlier queen may take to
// wait here.
const gatherWithin = 200 * time.Millisecond

// gather has requests served, once those that waited at an earlier queen have their
// places.
func (q *Queen) gather(ctx context.Context) {
	jobs := q.jobs.Jobs()
	if jobs[ops.JobQueued]+jobs[ops.JobRunning] > 0 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(gatherWithin):
		}
	}
	q.schedule.Go()
}
