package queen

import (
	"context"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
)

// Explain tells why a request went where it did, and how it ended: to who has sent
// it, or may know of all.
func (q *Queen) Explain(ctx context.Context, o ops.Explain) (ops.Explanation, error) {
	by := ops.CallerOf(ctx)
	x, err := q.schedule.Explain(o.ID)
	if err != nil {
		kept, ok, failed := q.store.Explanation(ctx, o.ID)
		if failed != nil {
			return ops.Explanation{}, failed
		}
		if ok {
			x, err = q.sinceThen(kept), nil
		}
	}
	if err == nil && q.access.Sees(by, x.Client) {
		x.KeyName = q.access.NameOf(x.Client)
		explained(&x, q.access.Guest(by))
		return x, nil
	}
	there, ok := q.jobs.Job(o.ID)
	name := there.Operation
	if !ok || !q.access.Sees(by, there.By) {
		return ops.Explanation{}, schedule.Unremembered(o.ID)
	}
	if name == (ops.Infer{}).Name() || name == (ops.WorkerSpawn{}).Name() {
		e := ops.Errorf(ops.CodeNotFound, "nothing is remembered of what was chosen for %s: it named a worker or a hive itself, or the queen was killed before that was written down", o.ID)
		e.Field = "id"
		return ops.Explanation{}, e.WithHint("`rbee job get %s` tells of it", o.ID)
	}
	e := ops.Errorf(ops.CodeNotFound, "no worker or hive was chosen for the job %s, whose operation is %s", o.ID, name)
	e.Field = "id"
	return ops.Explanation{}, e.WithHint("`rbee job get %s` tells of it; explained are those of infer and worker_spawn, and requests to the APIs", o.ID)
}

// sinceThen is what an earlier queen has remembered of a request, with what has
// come of it since: jobs outlive a queen, answers of the APIs do not.
func (q *Queen) sinceThen(x ops.Explanation) ops.Explanation {
	x.Waits = false
	if x.Ended != "" {
		return x
	}
	j, ok := q.jobs.Job(x.JobID)
	if !ok {
		x.Ended = ops.EndedLost
		return x
	}
	switch j.State {
	case ops.JobCompleted:
		x.Ended = ops.EndedDone
	case ops.JobFailed:
		x.Ended = ops.EndedFailed
	case ops.JobCancelled:
		x.Ended = ops.EndedCancelled
	case ops.JobQueued, ops.JobRunning:
	}
	if j.FinishedAt != nil {
		x.TookMS = float64(j.FinishedAt.Sub(x.At).Microseconds()) / 1000
	}
	if j.Error != nil {
		x.Error, x.Hint = j.Error.Message, j.Error.Hint
	}
	return x
}
