package queen

import (
	"slices"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

// workersOf are the workers of hive id as it has said last. Where it does not answer
// now they may run, unless somebody has stopped it, which ends them.
func (q *Queen) workersOf(id string) []ops.Worker {
	snapshot, up := q.books.snapshot(id)
	switch {
	case up:
		return snapshot.Workers
	case q.isStopped(id), id == ops.LocalHive && !daemon.HasWorkers(q.Home):
		return nil
	}
	list := slices.Clone(snapshot.Workers)
	for i := range list {
		if w := &list[i]; w.State != ops.WorkerFailed {
			w.State, w.Running, w.UnloadsAt = ops.WorkerUnknown, 0, nil
		}
	}
	return list
}

// allWorkers are those of all hives.
func (q *Queen) allWorkers() []ops.Worker {
	all := []ops.Worker{}
	for _, id := range q.books.ids() {
		all = append(all, q.workersOf(id)...)
	}
	return all
}

// hiveNow is hive id as a person is told of it.
func (q *Queen) hiveNow(id string) (ops.Hive, bool) {
	h, ok := q.books.get(id)
	if ok && h.State != ops.HiveUp {
		h.Workers = running(q.workersOf(id))
		if h.Error == "" {
			h.Error = q.notYet(id)
		}
	}
	return h, ok
}

// notYet is why a hive is down of which nothing was heard since the queen's start.
func (q *Queen) notYet(id string) string {
	switch {
	case id == ops.LocalHive:
		return "not started yet: it starts when something needs it"
	case q.isStopped(id):
		return "stopped by `rbee hive stop`"
	}
	return "the queen is connecting to it"
}
