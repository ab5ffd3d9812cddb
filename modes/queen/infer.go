package queen

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// attempts is how many workers a job is tried on before it has said anything.
const attempts = 3

// assign has a worker answer: the one that the job names, the one that it was
// given to before a restart, or one that the scheduler chooses.
func (q *Queen) assign(ctx context.Context, o ops.Infer) (any, error) {
	sink := ops.SinkOf(ctx)
	if at := sink.Cursor(); at.Target != "" {
		return q.takeUp(ctx, at, o)
	}
	if o.WorkerID != "" {
		return q.toWorker(ctx, q.hiveOfWorker(o), o)
	}
	r := q.takenUp(toChoose(ctx, o))
	if o.HiveID != "" {
		if err := q.hear(ctx, o.HiveID); err != nil {
			q.schedule.Refuse(r, err)
			return nil, err
		}
	}
	answer, err := q.try(ctx, r, o)
	if !lacksModel(err) || sink.Cursor().Target != "" {
		return answer, err
	}
	// Nobody has said yet that there is such a model: the hive itself looks on its
	// disk, where somebody may just have put one.
	if o.HiveID != "" {
		return q.toNamed(ctx, o.HiveID, o)
	}
	if (fleet{q}).JustPut(ctx, o.Model) {
		return q.try(ctx, r, o)
	}
	return answer, err
}

// toChoose is the job of ctx as the scheduler takes it.
func toChoose(ctx context.Context, o ops.Infer) schedule.Request {
	return schedule.Request{
		Job: ops.SinkOf(ctx).JobID(), Model: o.Model, Alias: aliasOf(ctx), Client: whose(ctx), Priority: o.Priority,
		Hive: o.HiveID, Engine: o.Engine, Device: o.Device, Prefixes: schedule.Prefixes([]byte(o.System + o.Prompt)),
	}
}

// takenUp is r, in its old place where it came to an earlier queen.
func (q *Queen) takenUp(r schedule.Request) schedule.Request {
	if q.jobs == nil {
		return r
	}
	if j, ok := q.jobs.Job(r.Job); ok && j.CreatedAt.Before(q.started) {
		r.Came, r.Again = j.CreatedAt, true
	}
	return r
}

// whose is the client that has sent the job of ctx, as the APIs call it too.
func whose(ctx context.Context) string { return cmp.Or(ops.CallerOf(ctx), ops.ByToken) }

// try has the job done by the worker that the scheduler lends it. One that fails
// before it has said anything is passed over for another; one whose model is
// divided, of which there is no other, or that a person has started with settings of
// its own, is asked once more.
func (q *Queen) try(ctx context.Context, r schedule.Request, o ops.Infer) (any, error) {
	again := false
	var failed error
	for attempt := 1; ; attempt++ {
		lease, err := q.schedule.Acquire(ctx, r)
		if err != nil {
			if failed != nil && (r.Running || ops.CodeOf(err) == ops.CodeUnavailable) {
				err = failed // says more than that there is no other
				q.schedule.Refuse(r, err)
			}
			return nil, err
		}
		if failed != nil && !again {
			ops.Warn(ctx, "worker_failed", "%v; worker %s of %s is asked in its place", failed, lease.Worker.ID, lease.Worker.HiveID)
		}
		answer, began, err := q.askWorker(ctx, lease.Worker, o, attempt)
		lease.Release()
		if err != nil && ctx.Err() == nil {
			q.schedule.Failed(r.Job, err)
		}
		if err == nil {
			q.schedule.Answered(&r)
		}
		divided := len(lease.Worker.Parts) > 0
		if err == nil || began || divided && again || attempt == attempts || ctx.Err() != nil || !passedOver(err) {
			if err = ofWorker(err, lease.Worker); err != nil && r.Running && !began && ctx.Err() == nil && passedOver(err) {
				err = failed
			}
			if err != nil && ctx.Err() == nil {
				q.schedule.Refuse(r, err)
			}
			return answer, err
		}
		if r.Model == "" && r.Hive == "" { // a hive that is named is asked anew, or says why it is not there
			r.Model = lease.Worker.Model // it is not chosen anew, nor told of again
		}
		if r.Again = true; !r.Running { // what the first engine says that has failed is told in the end
			failed = ofWorker(err, lease.Worker)
		}
		r.Running = r.Running || schedule.FaultOf(err) == schedule.OfEngine // it may be the job: none is started for it
		if again = divided || schedule.FaultOf(err) == schedule.OfWorker && q.schedule.Doubt(&r, lease.Key()); again {
			onceMore(ctx, lease.Worker, err)
			continue
		}
		r.Exclude(lease.Key(), err)
	}
}

// passedOver reports whether another worker may do what one has failed to.
func passedOver(err error) bool { return schedule.FaultOf(err) != schedule.OfRequest }

// askWorker forwards the job to that worker, and reports whether it has said
// anything.
func (q *Queen) askWorker(ctx context.Context, w ops.Worker, o ops.Infer, attempt int) (answer any, began bool, err error) {
	h, err := q.reach(ctx, w.HiveID)
	if err != nil {
		return nil, false, err
	}
	o.WorkerID, o.Model = w.ID, w.Model
	toldModel(ctx, w.Model)
	sink := &listener{Sink: ops.SinkOf(ctx), quiet: time.AfterFunc(cmp.Or(q.quietAfter, quietAfter), func() {
		ops.Narrate(ctx, "worker_wait", "waiting for worker %s of %s, which has said nothing yet; one that hangs is given up in some seconds", w.ID, w.HiveID)
	})}
	defer sink.quiet.Stop()
	id := sink.JobID()
	if attempt > 1 { // to the hive it is another job
		id = fmt.Sprintf("%.61s-%d", id, attempt)
	}
	answer, err = transport.ForwardAs(ops.WithSink(ctx, sink), h.jobs(), w.HiveID, ops.On(o, w.HiveID), id)
	return answer, sink.began, err
}

// ofWorker is err with the worker that an engine has failed it on.
func ofWorker(err error, w ops.Worker) error {
	if schedule.FaultOf(err) != schedule.OfEngine {
		return err
	}
	return schedule.ByWorker(err, &w)
}

// quietAfter is how long a worker may say nothing to a job before that is told, once.
// By then it has, or its hive, but where a long prompt is read or one of them hangs.
const quietAfter = 4 * time.Second

// listener is a job's sink that notices text, and stops quiet when anything is said.
type listener struct {
	ops.Sink
	quiet *time.Timer
	began bool
}

// Mark notices what is said.
func (l *listener) Mark(e ops.Event, at ops.Cursor) {
	if e != nil {
		l.quiet.Stop()
	}
	if _, ok := e.(ops.TokenEvent); ok {
		l.began = true
	}
	l.Sink.Mark(e, at)
}

// takeUp follows a job on where a restart of the queen has left it. Where nothing
// was heard yet it may not have been submitted; the hive says as what it was.
func (q *Queen) takeUp(ctx context.Context, at ops.Cursor, o ops.Infer) (any, error) {
	h, err := q.reach(ctx, at.Target)
	if err != nil {
		return nil, err
	}
	o = ops.On(o, at.Target).(ops.Infer)
	if at.Last == 0 {
		if there, ok := submitted[ops.Infer](ctx, h.jobs(), at.JobID); ok {
			o = there
		}
	}
	return transport.ForwardAs(ctx, h.jobs(), at.Target, o, at.JobID)
}

// submitted is the operation of a job that a hive has.
func submitted[O ops.HiveOp](ctx context.Context, c *transport.Client, id string) (o O, ok bool) {
	there, err := c.Job(ctx, id)
	if err != nil {
		return o, false
	}
	op, _, err := ops.Decode[ops.HiveOp](there.Op)
	if err != nil {
		return o, false
	}
	o, ok = op.(O)
	return o, ok
}

// toNamed forwards new work to a hive that somebody names.
func (q *Queen) toNamed(ctx context.Context, name string, o ops.HiveOp) (any, error) {
	id, err := q.asked(name)
	if err == nil {
		err = q.refuseDrained(id)
	}
	if err != nil {
		return nil, err
	}
	return q.further(ctx, id, o)
}

// further forwards work to a hive, which gets the model first.
func (q *Queen) further(ctx context.Context, id string, o ops.HiveOp) (any, error) {
	if err := q.bringModel(ctx, id, workerOf(o), nil); err != nil {
		return nil, q.orDivided(ctx, id, workerOf(o), err)
	}
	result, err := q.forward(ctx, id, o)
	if err != nil {
		err = q.orDivided(ctx, id, workerOf(o), err)
	}
	return result, err
}

// workerOf is the worker that an operation starts where there is none for it.
func workerOf(o ops.HiveOp) ops.WorkerSpawn {
	switch o := o.(type) {
	case ops.WorkerSpawn:
		return o
	case ops.Infer:
		return ops.WorkerSpawn{Model: o.Model, Engine: o.Engine, Device: o.Device}
	}
	return ops.WorkerSpawn{}
}

// hiveOfWorker is the hive of the worker that a job names, where it names none
// itself.
func (q *Queen) hiveOfWorker(o ops.Infer) string {
	return cmp.Or(o.HiveID, q.hiveOf(o), ops.LocalHive)
}

// hear sees that the hive called id is up and has said what it has: somebody
// wants that one.
func (q *Queen) hear(ctx context.Context, id string) error {
	if _, err := q.asked(id); err != nil {
		return err
	}
	if err := q.refuseDrained(id); err != nil {
		return err
	}
	if _, up := q.books.snapshot(id); up {
		return nil
	}
	snapshot, err := q.probe(ctx, id, look{})
	if err != nil {
		return err
	}
	q.note(id, snapshot)
	return nil
}
