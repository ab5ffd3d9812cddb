package queen

import (
	"context"

	"rbee.dev/rbee/ops"
)

// Explain tells why a request went where it did.
func (q *Queen) Explain(_ context.Context, o ops.Explain) (ops.Explanation, error) {
	x, err := q.schedule.Explain(o.ID)
	if err == nil {
		return x, nil
	}
	name, ok := q.jobs.Operation(o.ID)
	if !ok || name == (ops.Infer{}).Name() || name == (ops.WorkerSpawn{}).Name() {
		return x, err
	}
	e := ops.Errorf(ops.CodeNotFound, "no worker or hive was chosen for the job %s, which is a %s", o.ID, name)
	e.Field = "id"
	return x, e.WithHint("`rbee job get %s` tells of it; explained are those of infer and worker_spawn, and requests to the APIs", o.ID)
}
