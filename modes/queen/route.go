package queen

import (
	"context"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// route does a hive operation: lists of all hives are merged, what may run
// anywhere goes where the queen chooses, the rest to the hive it names.
func (q *Queen) route(ctx context.Context, o ops.HiveOp) (any, error) {
	if o.Hive() == "" {
		switch o.(type) {
		case ops.WorkerList:
			return q.workers(ctx)
		case ops.ModelList:
			return q.models(ctx)
		}
	}
	id, err := q.hive(o.Hive())
	if err != nil {
		return nil, err
	}
	if err := q.local.ensure(ctx); err != nil {
		return nil, err
	}
	return transport.Forward(ctx, q.local.client, id, ops.On(o, id))
}

// workers lists the workers of all hives.
func (q *Queen) workers(ctx context.Context) (ops.Workers, error) {
	all := ops.Workers{Workers: []ops.Worker{}}
	for _, id := range q.books.ids() {
		part, err := ask(ctx, q, ops.WorkerList{OnHive: ops.OnHive{HiveID: id}})
		if err != nil {
			return all, err
		}
		all.Workers = append(all.Workers, part.Workers...)
	}
	return all, nil
}

// models lists the models of all hives.
func (q *Queen) models(ctx context.Context) (ops.Models, error) {
	all := ops.Models{Models: []ops.Model{}}
	for _, id := range q.books.ids() {
		part, err := ask(ctx, q, ops.ModelList{OnHive: ops.OnHive{HiveID: id}})
		if err != nil {
			return all, err
		}
		all.Models = append(all.Models, part.Models...)
	}
	return all, nil
}

// ask does o on its hive as a job of its own: a job of the queen's that asks
// several hives is not one that is forwarded.
func ask[R any](ctx context.Context, q *Queen, o ops.Returning[R]) (R, error) {
	if err := q.local.ensure(ctx); err != nil {
		var none R
		return none, err
	}
	return transport.Call(ctx, q.local.client, o)
}
