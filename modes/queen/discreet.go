package queen

import (
	"context"
	"maps"
	"slices"

	"rbee.dev/rbee/ops"
)

// mayUse reports whether who has sent the job of ctx may use the model, and so is
// told of it.
func (q *Queen) mayUse(ctx context.Context, model string) bool {
	return q.access.Guest(ops.CallerOf(ctx)).May(model) == nil
}

// seen are those of the workers whose models who has sent the job of ctx may use.
func (q *Queen) seen(ctx context.Context, list []ops.Worker) []ops.Worker {
	return slices.DeleteFunc(list, func(w ops.Worker) bool { return !q.mayUse(ctx, w.Model) })
}

// seesWorker is the error of an operation on a worker that does not exist for who has
// sent it, since it runs a model that he may not use.
func (q *Queen) seesWorker(ctx context.Context, o ops.HiveOp) error {
	id, field := "", ""
	switch o := o.(type) {
	case ops.WorkerGet:
		id = o.ID
	case ops.WorkerDelete:
		id = o.ID
	case ops.Infer:
		id, field = o.WorkerID, "worker_id"
	}
	hidden := func(w ops.Worker) bool { return w.ID == id && !q.mayUse(ctx, w.Model) }
	if id == "" || !slices.ContainsFunc(q.books.workers(), hidden) {
		return nil
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no worker %q", id)
	e.Field = field
	return e.WithHint("`rbee worker list` shows the workers there are")
}

// seenWaiting is how many requests wait, by those models.
func (q *Queen) seenWaiting(ctx context.Context) map[string]int {
	n := q.schedule.Waiting()
	maps.DeleteFunc(n, func(model string, _ int) bool { return !q.mayUse(ctx, model) })
	return n
}
