package hive

import (
	"context"

	"rbee.dev/rbee/ops"
)

// unknown refuses an operation that is for another hive, or that names a worker or a
// model which this one has not got, before it is a job.
func (h *Hive) unknown(ctx context.Context, o ops.HiveOp) error {
	if id := o.Hive(); id != "" && id != h.Name && id != ops.LocalHive { // whatever its name, it is this machine's
		e := ops.Errorf(ops.CodeNotFound, "this is the hive %s, not %q", h.Name, id)
		e.Field = "hive_id"
		return e.WithHint("leave hive_id away, or ask the queen, who knows the other hives")
	}
	err := h.lacks(ctx, o)
	if ops.CodeOf(err) != ops.CodeNotFound {
		return nil // it is there, whatever else is wrong
	}
	return err
}

// lacks is the error of what an operation is about that there is not.
func (h *Hive) lacks(ctx context.Context, o ops.HiveOp) (err error) {
	if id, _ := ops.WorkerNamed(o); id != "" {
		_, err = h.worker(o)
		return err
	}
	model := ops.ModelNamed(o)
	if model == "" {
		return nil
	}
	switch o := o.(type) {
	case ops.WorkerSpawn:
		if o.PartOf == "" && o.Coming == nil { // else the model is another hive's
			_, err = h.models.choose(ctx, model)
		}
	case ops.Infer:
		_, err = h.models.choose(ctx, model)
	default:
		_, err = h.ModelGet(ctx, ops.ModelGet{ID: model})
	}
	return err
}
