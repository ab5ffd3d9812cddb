package queen

import (
	"context"
	"slices"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
)

// spawn has a worker started, where the scheduler says unless a hive is named.
func (q *Queen) spawn(ctx context.Context, o ops.WorkerSpawn) (any, error) {
	if at := ops.SinkOf(ctx).Cursor(); at.Target != "" { // taken up after a restart
		o.HiveID = at.Target
		return q.further(ctx, at.Target, o)
	}
	if o.HiveID != "" {
		return q.toNamed(ctx, o.HiveID, o)
	}
	r := schedule.Request{Job: ops.SinkOf(ctx).JobID(), Client: whose(ctx), Model: o.Model, Alias: aliasOf(ctx), Engine: o.Engine, Device: o.Device}
	answer, err := q.spawnSomewhere(ctx, r, o)
	q.over(ctx, err, false)
	return answer, err
}

// spawnSomewhere has a worker started where the scheduler says. A hive that has not
// got what the worker needs is passed over for another.
func (q *Queen) spawnSomewhere(ctx context.Context, r schedule.Request, o ops.WorkerSpawn) (any, error) {
	var refusal error
	for {
		p, err := q.schedule.Settle(ctx, r)
		if refusal == nil && lacksModel(err) && (fleet{q}).JustPut(ctx, o.Model) {
			p, err = q.schedule.Settle(ctx, r)
		}
		if err != nil && refusal != nil {
			q.schedule.Refuse(r, refusal) // says more than that there is no other
			return nil, refusal
		}
		if err != nil {
			return nil, err
		}
		if refusal != nil {
			ops.Narrate(ctx, "worker_elsewhere", "%s; the hive %s is asked in its place", ops.AsError(refusal).Message, p.Hive)
		}
		r.Model, o.Model = p.Model, p.Model
		answer, err := q.spawnAt(ctx, p, o)
		if err == nil || ctx.Err() != nil {
			return answer, err
		}
		if refusal = err; !lacksMeans(err) {
			q.schedule.Refuse(r, err)
			return nil, err
		}
		if r.Refused == nil {
			r.Refused = map[string]bool{}
		}
		r.Refused[p.Hive] = true
	}
}

// lacksMeans reports whether err is of a hive that has not got the engine, the
// program or the device that a worker was asked for with: another one may.
func lacksMeans(err error) bool {
	e := ops.AsError(err)
	return e != nil && (e.Code == ops.CodeNotFound || e.Code == ops.CodeUnsupported) &&
		slices.Contains([]string{"worker", "engine", "command", "device"}, e.Field)
}

// spawnAt has a worker started where the scheduler says, with the model brought
// there first.
func (q *Queen) spawnAt(ctx context.Context, p schedule.Plan, o ops.WorkerSpawn) (any, error) {
	if p.From == "" && p.Get {
		h, err := q.reach(ctx, p.Hive)
		if err == nil {
			err = fleet{q}.get(ctx, h, p)
		}
		if err != nil {
			return nil, err
		}
	}
	return q.further(ctx, p.Hive, o)
}
