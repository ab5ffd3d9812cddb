package queen

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"rbee.dev/rbee/modes/queen/gateway"
	"rbee.dev/rbee/ops"
)

// mayUse reports whether who has sent the job of ctx may use the model, and so is
// told of it.
func (q *Queen) mayUse(ctx context.Context, model string) bool {
	return q.access.Guest(ops.CallerOf(ctx)).May(model) == nil
}

// seen are those of the workers whose models who has sent the job of ctx may use.
func (q *Queen) seen(ctx context.Context, list []ops.Worker) []ops.Worker {
	list = slices.DeleteFunc(list, func(w ops.Worker) bool { return !q.mayUse(ctx, w.Model) })
	for i := range list {
		list[i] = forCaller(ctx, list[i])
	}
	return list
}

// forCaller is a worker as who has sent the job of ctx may be told of it: a command line,
// which may hold secrets, is not for API keys.
func forCaller(ctx context.Context, w ops.Worker) ops.Worker {
	if ops.CallerOf(ctx) != "" {
		w.Command = ""
	}
	return w
}

// seesWorker is the error of an operation on a worker that does not exist for who has
// sent it, since it runs a model that he may not use. Where the worker alone says which
// model a job is for, the queen has to know it.
func (q *Queen) seesWorker(ctx context.Context, o ops.HiveOp) error {
	id, field := ops.WorkerNamed(o)
	sink := ops.SinkOf(ctx)
	if id == "" || q.mayUse(ctx, "") || sink != nil && sink.Cursor().Target != "" { // it was let in by an earlier queen
		return nil
	}
	there := slices.DeleteFunc(q.books.workers(), func(w ops.Worker) bool { return w.ID != id })
	infer, asks := o.(ops.Infer)
	unknown := len(there) == 0 && asks && infer.Model == ""
	if !unknown && !slices.ContainsFunc(there, func(w ops.Worker) bool { return !q.mayUse(ctx, w.Model) }) {
		return nil
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no worker %q on hive %s", id, cmp.Or(o.Hive(), ops.LocalHive)) // as of any other
	e.Field = field
	return e.WithHint(workersHint)
}

const workersHint = "`rbee worker list` shows the workers there are"

// nearerWorker is err, of an id that no worker has, without the hint that another one may
// be meant, where that is hidden from who has sent the job of ctx.
func (q *Queen) nearerWorker(ctx context.Context, err error) error {
	e := ops.AsError(err)
	if e == nil || ops.CallerOf(ctx) == "" {
		return err
	}
	hidden := func(w ops.Worker) bool {
		return strings.Contains(e.Hint, strconv.Quote(w.ID)) && !q.mayUse(ctx, w.Model)
	}
	if !slices.ContainsFunc(q.books.workers(), hidden) {
		return err
	}
	return e.WithHint(workersHint)
}

// discreetly returns ctx with a job that hears of no models but those that who has sent
// it may use.
func (q *Queen) discreetly(ctx context.Context) context.Context {
	by, sink := ops.CallerOf(ctx), ops.SinkOf(ctx)
	if by == "" || sink == nil {
		return ctx
	}
	return ops.WithSink(ctx, discreet{sink, q.access.Guest(by)})
}

// discreet is a job's sink that is told what the guest may be.
type discreet struct {
	ops.Sink
	guest gateway.Guest
}

func (d discreet) Emit(e ops.Event) { d.Sink.Emit(d.told(e)) }

func (d discreet) Mark(e ops.Event, at ops.Cursor) { d.Sink.Mark(d.told(e), at) }

func (d discreet) told(e ops.Event) ops.Event {
	if n, ok := e.(ops.NarrationEvent); ok {
		n.Human = d.guest.Words(n.Human)
		return n
	}
	return e
}

// explained puts what an explanation says in words as g may be told it. What of it the
// scheduler keeps stays as it is.
func explained(x *ops.Explanation, g gateway.Guest) {
	e := ops.AsError(g.Told(&ops.Error{Message: x.Error, Hint: x.Hint}))
	x.Error, x.Hint = e.Message, e.Hint
	whys := func(list []ops.Considered) []ops.Considered {
		list = slices.Clone(list)
		for i := range list {
			list[i].Why = g.Words(list[i].Why)
		}
		return list
	}
	x.Decisions = slices.Clone(x.Decisions)
	for i := range x.Decisions {
		d := &x.Decisions[i]
		d.Failed, d.Notes, d.Workers, d.Hives = g.Words(d.Failed), slices.Clone(d.Notes), whys(d.Workers), whys(d.Hives)
		for j := range d.Notes {
			d.Notes[j] = g.Words(d.Notes[j])
		}
	}
}

// seenWaiting is how many requests wait, by those models.
func (q *Queen) seenWaiting(ctx context.Context) map[string]int {
	n := q.schedule.Waiting()
	maps.DeleteFunc(n, func(model string, _ int) bool { return !q.mayUse(ctx, model) })
	return n
}
