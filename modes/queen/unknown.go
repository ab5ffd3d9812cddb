package queen

import (
	"cmp"
	"context"
	"slices"

	"rbee.dev/rbee/ops"
)

// unknown refuses an operation that names a hive, a worker or a model which there is not,
// before it is a job, with the error that the job would end with. What is not certain at
// once is left to the job: what a hive has that is down, and what comes from elsewhere.
func (q *Queen) unknown(ctx context.Context, o ops.Op) error {
	ctx, cancel := context.WithTimeout(ctx, listWithin)
	defer cancel()
	var err error
	switch o := o.(type) {
	case ops.QueenOp:
		err = q.lacksOwn(ctx, o)
	case ops.HiveOp:
		if err = q.seesWorker(ctx, o); err == nil {
			err = q.told(ctx, o, q.lacksNamed(ctx, o))
		}
	}
	if ops.CodeOf(err) != ops.CodeNotFound {
		return nil
	}
	return err
}

// lacksOwn is the error of an operation of the queen's own for what it names.
func (q *Queen) lacksOwn(ctx context.Context, o ops.QueenOp) error {
	_, err := q.hive(ops.HiveNamed(o))
	if err != nil {
		return err
	}
	switch o := o.(type) {
	case ops.ModelCopy:
		return q.lacksCopied(ctx, o)
	case ops.ModelAlias:
		return q.lacksMeant(ctx, o)
	case ops.Explain:
		_, err = q.Explain(ctx, o)
	case ops.Usage:
		_, err = q.Usage(ctx, o)
	}
	return err
}

// lacksCopied is the error of a copy between hives that there are not, or of a model that
// none has.
func (q *Queen) lacksCopied(ctx context.Context, o ops.ModelCopy) error {
	to, err := q.hive(o.To)
	if err != nil {
		return field(err, "to")
	}
	if o.From != "" {
		if _, err := q.hive(o.From); err != nil {
			return field(err, "from")
		}
		return nil
	}
	o.Model = q.carried(o)
	_, err = q.having(ctx, o, to)
	return err
}

// lacksMeant is the error of an alias for a model that no hive has.
func (q *Queen) lacksMeant(ctx context.Context, o ops.ModelAlias) error {
	if _, up := q.books.snapshot(ops.LocalHive); !up || ops.IsModelReference(o.Model) || q.has(o.Model) {
		return nil
	}
	return q.aliasable(o.Model, q.models(ctx).Models)
}

// lacksNamed is the error of a hive's operation for what it names.
func (q *Queen) lacksNamed(ctx context.Context, o ops.HiveOp) error {
	if _, err := q.asked(o.Hive()); err != nil {
		return err
	}
	on := cmp.Or(o.Hive(), q.hiveOf(o), ops.LocalHive)
	switch o := o.(type) {
	case ops.WorkerSpawn:
		if err := q.lacksHives(o); err != nil {
			return err
		}
		return q.lacksModel(ctx, cmp.Or(o.HiveID, first(o.Hives)), o.Model)
	case ops.Infer:
		if o.WorkerID == "" {
			return q.lacksModel(ctx, o.HiveID, o.Model)
		}
	case ops.ModelGet:
		return q.tellWhere(q.lacksOnDisk(ctx, on, q.meant(o.ID)), on, o)
	}
	if worker, named := ops.WorkerNamed(o); worker != "" {
		err := q.tellWhere(q.lacksWorker(ctx, on, worker), on, o)
		if err == nil {
			return nil
		}
		return field(err, named)
	}
	if model := ops.ModelNamed(o); model != "" {
		return q.tellWhere(q.lacksOnDisk(ctx, on, model), on, o)
	}
	return nil
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// lacksModel is the error of work by a model that no hive has, whichever does it, or the
// one called hive alone.
func (q *Queen) lacksModel(ctx context.Context, hive, name string) error {
	model := q.meant(name)
	if model == "" || ops.IsModelReference(model) {
		return nil
	}
	err := q.schedule.Missing(model)
	switch _, up := q.books.snapshot(ops.LocalHive); {
	case err == nil:
		return nil
	case hive != "": // whose disk may have it since a moment ago
		lacks := q.lacksOnDisk(ctx, hive, model)
		if elsewhere := q.books.unusable(model, hive); lacks != nil && elsewhere != nil {
			return elsewhere // why it does not come from there
		}
		return lacks
	case !up || (fleet{q}).JustPut(ctx, model):
		return nil
	}
	return err
}

// lacksWorker is the error of a hive that is up and has no such worker.
func (q *Queen) lacksWorker(ctx context.Context, hive, id string) error {
	s, up := q.books.snapshot(hive)
	if !up || slices.ContainsFunc(s.Workers, func(w ops.Worker) bool { return w.ID == id }) {
		return nil
	}
	_, err := ask(ctx, q, hive, ops.WorkerGet{ID: id})
	return err
}

// lacksOnDisk is the error of a hive that is up and has no such model.
func (q *Queen) lacksOnDisk(ctx context.Context, hive, model string) error {
	s, up := q.books.snapshot(hive)
	if !up || slices.ContainsFunc(s.Models, func(m ops.Model) bool { return m.ID == model }) {
		return nil
	}
	_, err := ask(ctx, q, hive, ops.ModelGet{ID: model})
	return err
}
