package queen

import (
	"context"
	"os"
	"slices"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

// Status reports the whole picture from what the queen knows: who may use some models
// only is told of these and their workers. How many there are on a hive, he is told. Of
// jobs each key is told of its own.
func (q *Queen) Status(ctx context.Context, _ ops.Status) (ops.QueenReport, error) {
	hives, err := q.HiveList(ctx, ops.HiveList{})
	if err != nil {
		return ops.QueenReport{}, err
	}
	return ops.QueenReport{
		Version: daemon.Version, Build: q.build, Address: q.address, PID: os.Getpid(), StartedAt: q.started,
		LogPath: q.Home.Log("queen"), Home: q.Home.State,
		Hives: hives.Hives, Workers: q.seen(ctx, q.allWorkers()),
		Jobs:    q.jobs.JobsOf(func(by string) bool { return q.access.Sees(ops.CallerOf(ctx), by) }),
		Waiting: q.seenWaiting(ctx), Drained: q.schedule.IsDrained(),
	}, nil
}

// HiveList lists the hives from what the queen knows.
func (q *Queen) HiveList(context.Context, ops.HiveList) (ops.Hives, error) {
	ids := q.books.ids()
	slices.Sort(ids)
	list := ops.Hives{Hives: make([]ops.Hive, 0, len(ids))}
	for _, id := range ids {
		if h, ok := q.hiveNow(id); ok {
			list.Hives = append(list.Hives, h)
		}
	}
	return list, nil
}

// HiveGet shows one hive from what the queen knows.
func (q *Queen) HiveGet(_ context.Context, o ops.HiveGet) (ops.Hive, error) {
	id, err := q.hive(o.HiveID)
	if err != nil {
		return ops.Hive{}, err
	}
	h, _ := q.hiveNow(id)
	return h, nil
}

// HiveStatus asks the machine itself; a hive that is down is started for it.
func (q *Queen) HiveStatus(ctx context.Context, o ops.HiveStatus) (ops.Hive, error) {
	id, err := q.hive(o.HiveID)
	if err != nil {
		return ops.Hive{}, err
	}
	snapshot, err := q.probe(ctx, id, look{Anew: o.RefreshCapabilities, First: true})
	if err != nil {
		return ops.Hive{}, err
	}
	q.note(id, snapshot)
	h, _ := q.hiveNow(id)
	return h, nil
}

// asked is hive for an operation that names the hive beside what it is about.
func (q *Queen) asked(id string) (string, error) {
	id, err := q.hive(id)
	if err != nil {
		e := *ops.AsError(err)
		e.Field = "hive_id"
		return "", &e
	}
	return id, nil
}

// hive resolves a hive's name; "" is the local one.
func (q *Queen) hive(id string) (string, error) {
	if id == "" {
		return ops.LocalHive, nil
	}
	ids := q.books.ids()
	if slices.Contains(ids, id) {
		return id, nil
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no hive %q", id).WithHint("`rbee hive list` shows the hives there are")
	if near := ops.Nearest(id, ids); near != "" {
		e = e.WithHint("did you mean %q? `rbee hive list` shows the hives there are", near)
	}
	return "", e
}
