package queen

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// route does a hive operation: lists of all hives are merged, what may run
// anywhere goes where the queen chooses, the rest to the hive it names.
func (q *Queen) route(ctx context.Context, o ops.HiveOp) (any, error) {
	if o, ok := o.(ops.WorkerSpawn); ok {
		switch {
		case o.PartOf != "":
			return nil, ops.Invalid("part_of", "is for the queen to set: name the hives in hives")
		case len(o.Hives) > 0:
			return q.spawnSplit(ctx, o)
		}
	}
	if o.Hive() == "" {
		switch o := o.(type) {
		case ops.WorkerList:
			return q.workers(ctx), nil
		case ops.ModelList:
			return q.models(ctx), nil
		case ops.EngineList:
			return q.engines(ctx), nil
		case ops.Infer:
			return q.forward(ctx, q.choose(ctx, o.Model), o)
		case ops.WorkerSpawn:
			return q.forward(ctx, q.choose(ctx, o.Model), o)
		}
	}
	id, err := q.hive(o.Hive())
	if err != nil {
		return nil, err
	}
	if err := q.bringModel(ctx, id, modelOf(o)); err != nil {
		return nil, err
	}
	if o, ok := o.(ops.WorkerDelete); ok {
		return q.deleteWorker(ctx, id, o)
	}
	return q.forward(ctx, id, o)
}

// modelOf is the model that an operation needs on its hive's disk, or "".
func modelOf(o ops.HiveOp) string {
	switch o := o.(type) {
	case ops.Infer:
		return o.Model
	case ops.WorkerSpawn:
		return o.Model
	}
	return ""
}

func (q *Queen) forward(ctx context.Context, id string, o ops.HiveOp) (any, error) {
	h, err := q.reach(ctx, id)
	if err != nil {
		return nil, err
	}
	return transport.Forward(ctx, h.jobs(), id, ops.On(o, id))
}

// choose picks the hive for work that may run anywhere: where it was begun
// already; else one that has the model loaded, the least busy; else one that has
// it on disk; else the queen's own machine.
func (q *Queen) choose(ctx context.Context, model string) string {
	if s := ops.SinkOf(ctx); s != nil && s.Cursor().Target != "" {
		return s.Cursor().Target
	}
	best, rank := ops.LocalHive, 0
	ids := q.books.ids()
	slices.SortFunc(ids, func(a, b string) int { // its own machine first, then by name
		return cmp.Or(cmp.Compare(remoteness(a), remoteness(b)), cmp.Compare(a, b))
	})
	for _, id := range ids {
		snapshot, up := q.books.snapshot(id)
		if r := suitability(snapshot, model); up && r > rank {
			best, rank = id, r
		}
	}
	return best
}

func remoteness(id string) int {
	if id == ops.LocalHive {
		return 0
	}
	return 1
}

// suitability ranks a hive for a model: 0 without it, 1 with it on disk, more
// with it loaded, the more places its workers have free. Without a model any
// worker that is ready will do.
func suitability(s ops.HiveSnapshot, model string) int {
	rank := 0
	for _, m := range s.Models {
		if m.ID == model {
			rank = 1
		}
	}
	for _, w := range s.Workers {
		if w.PartOf == "" && w.State == ops.WorkerReady && (model == "" || w.Model == model) {
			rank = max(rank, 2+max(0, w.Slots-w.Running))
		}
	}
	return rank
}

// listWithin bounds how long a list waits for one hive.
const listWithin = 3 * time.Second

// workers lists the workers of all hives that are up.
func (q *Queen) workers(ctx context.Context) ops.Workers {
	all := ops.Workers{Workers: []ops.Worker{}}
	for _, part := range everywhere(ctx, q, func(id string) ops.Returning[ops.Workers] {
		return ops.WorkerList{OnHive: ops.OnHive{HiveID: id}}
	}, func(s ops.HiveSnapshot, up bool) ops.Workers {
		if !up {
			return ops.Workers{}
		}
		return ops.Workers{Workers: s.Workers}
	}) {
		all.Workers = append(all.Workers, part.Workers...)
	}
	return all
}

// models lists the models of all hives, of those that are down too.
func (q *Queen) models(ctx context.Context) ops.Models {
	all := ops.Models{Models: []ops.Model{}}
	for _, part := range everywhere(ctx, q, func(id string) ops.Returning[ops.Models] {
		return ops.ModelList{OnHive: ops.OnHive{HiveID: id}}
	}, func(s ops.HiveSnapshot, _ bool) ops.Models { return ops.Models{Models: s.Models} }) {
		all.Models = append(all.Models, part.Models...)
	}
	return all
}

// engines lists the engines of all hives that are up.
func (q *Queen) engines(ctx context.Context) ops.Engines {
	all := ops.Engines{Engines: []ops.Engine{}}
	for _, part := range everywhere(ctx, q, func(id string) ops.Returning[ops.Engines] {
		return ops.EngineList{OnHive: ops.OnHive{HiveID: id}}
	}, func(ops.HiveSnapshot, bool) ops.Engines { return ops.Engines{} }) {
		all.Engines = append(all.Engines, part.Engines...)
	}
	return all
}

// everywhere asks every hive that is up, all at once, and the local one in any
// case, since it can be started. For a hive that is down or slow it tells what
// the hive said last. The answers are in the order of the hives' names.
func everywhere[R any](ctx context.Context, q *Queen, o func(id string) ops.Returning[R], known func(ops.HiveSnapshot, bool) R) []R {
	ids := q.books.ids()
	slices.Sort(ids)
	parts := make([]R, len(ids))
	var asking sync.WaitGroup
	for i, id := range ids {
		asking.Go(func() {
			snapshot, up := q.books.snapshot(id)
			parts[i] = known(snapshot, up)
			if !up && id != ops.LocalHive {
				return
			}
			part, err := ask(ctx, q, id, o(id))
			if err != nil {
				ops.Warn(ctx, "hive_silent", "the hive %s does not answer, this is what it said last: %v", id, err)
				return
			}
			parts[i] = part
		})
	}
	asking.Wait()
	return parts
}

// ask does o on hive id as a job of its own: a job of the queen's that asks
// several hives is not one that is forwarded.
func ask[R any](ctx context.Context, q *Queen, id string, o ops.Returning[R]) (R, error) {
	var none R
	if id != ops.LocalHive { // which may have to start first
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, listWithin)
		defer cancel()
	}
	h, err := q.reach(ctx, id)
	if err != nil {
		return none, err
	}
	return transport.Call(ctx, h.jobs(), o)
}

// probe asks hive id for its devices and state anew.
func (q *Queen) probe(ctx context.Context, id string, refresh bool) (ops.HiveSnapshot, error) {
	var snapshot ops.HiveSnapshot
	h, err := q.reach(ctx, id)
	if err != nil {
		return snapshot, err
	}
	if err := h.ensure(ctx); err != nil {
		return snapshot, err
	}
	err = h.direct().Post(ctx, "/v1/probe", map[string]bool{"refresh_capabilities": refresh}, &snapshot)
	return snapshot, err
}
