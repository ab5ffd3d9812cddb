package queen

import (
	"context"
	"time"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
)

// toWorker has the worker answer that a job names. One whose engine is started again
// is waited for; where that has ended before it has said anything, and where its
// model is divided, it is asked once more.
func (q *Queen) toWorker(ctx context.Context, hive string, o ops.Infer) (any, error) {
	named := split{hive: hive, id: o.WorkerID}
	w, ok := q.worker(named)
	if !ok || o.Model != "" && o.Model != w.Model {
		return q.toNamed(ctx, hive, o)
	}
	if err := isAsAsked(w, o); err != nil {
		return nil, err
	}
	if err := q.refuseDrained(hive); err != nil {
		return nil, err
	}
	if _, err := q.back(ctx, named); err != nil {
		return nil, err
	}
	answer, began, err := q.askWorker(ctx, w, o, 1)
	if err == nil || began || ctx.Err() != nil || !passedOver(err) {
		return answer, ofWorker(err, w)
	}
	again := schedule.FaultOf(err) == schedule.OfWorker && q.noticed(ctx, named)
	if !again && len(w.Parts) == 0 {
		return nil, ofWorker(err, w)
	}
	onceMore(ctx, w, err)
	if there, failed := q.back(ctx, named); failed != nil || !there {
		return nil, ofWorker(err, w)
	}
	answer, _, err = q.askWorker(ctx, w, o, 2)
	return answer, ofWorker(err, w)
}

// isAsAsked refuses a worker that a job names and that is not as the job wants it.
func isAsAsked(w ops.Worker, o ops.Infer) error {
	const auto = "auto"
	switch {
	case o.Engine != "" && o.Engine != auto && o.Engine != w.Engine:
		return ops.Invalid("worker", "worker %s of %s has the engine %s, not %s", w.ID, w.HiveID, w.Engine, o.Engine)
	case o.Device != "" && o.Device != auto && o.Device != w.Device:
		return ops.Invalid("device", "worker %s of %s runs on %s, not on %s", w.ID, w.HiveID, w.Device, o.Device)
	}
	return nil
}

// onceMore says that a worker has failed and is asked again.
func onceMore(ctx context.Context, w ops.Worker, err error) {
	ops.Warn(ctx, "worker_failed", "worker %s of %s could not do it, trying it once more: %v", w.ID, w.HiveID, err)
}

// noticedWithin is how long it may take the queen to hear that a worker's engine has
// ended which a job has met with.
const noticedWithin = time.Second

// noticed reports whether the books say soon that a worker's engine is started again.
func (q *Queen) noticed(ctx context.Context, named split) bool {
	late := time.After(noticedWithin)
	for {
		turned := q.books.bell.next()
		w, ok := q.worker(named)
		if !ok || w.Broken() {
			return false
		}
		if returns(&w) {
			return true
		}
		select {
		case <-turned:
		case <-late:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// back waits while a worker's engine is started again. It reports whether the worker
// is there then, or is the error of a divided one that does not come back by itself.
func (q *Queen) back(ctx context.Context, named split) (there bool, err error) {
	told := false
	for {
		turned := q.books.bell.next()
		if err := q.schedule.Lacking(schedule.Key{Hive: named.hive, Worker: named.id}); err != nil {
			return false, err
		}
		w, ok := q.worker(named)
		if !ok || !returns(&w) {
			return ok, nil
		}
		if !told {
			told = true
			ops.Narrate(ctx, "worker_wait", "waiting for worker %s of %s, which loads %s again: %s", w.ID, w.HiveID, w.Model, w.Error)
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// returns reports whether a worker's engine, which has run, is started again.
func returns(w *ops.Worker) bool {
	return w.State == ops.WorkerLoading && w.Error != "" && !w.Broken()
}
