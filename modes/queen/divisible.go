package queen

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/dustin/go-humanize/english"

	"rbee.dev/rbee/ops"
)

// orDivided adds to a hive's refusal of a worker that is too big for its memory over
// which hives the model would fit, divided, where these say so when they are asked.
func (q *Queen) orDivided(ctx context.Context, hive string, o ops.WorkerSpawn, refusal error) error {
	e := ops.AsError(refusal)
	if e == nil || e.Lacks != ops.LacksMemory || o.Model == "" || len(o.Hives) > 0 {
		return refusal
	}
	ctx, cancel := context.WithTimeout(ops.WithSink(ctx, nil), listWithin)
	defer cancel()
	o.HiveID, o.Engine = "", "" // no engine but llama.cpp can divide a model
	others := q.ableToHoldParts(ctx, hive)
	for _, over := range [][]string{append([]string{hive}, others...), others} {
		for n := 2; n <= min(len(over), ops.MaxSplit) && ctx.Err() == nil; n++ {
			o.Hives = over[:n]
			if q.fitsDivided(ctx, o) {
				return e.WithHint("%s; divided over %s it fits: `rbee worker spawn %s %s`", e.Hint, english.WordSeries(o.Hives, "and"), o.Model, settings(o))
			}
		}
	}
	return refusal
}

// ableToHoldParts lists the hives but one that are up and have the program that holds
// parts of divided models, those with most memory first.
func (q *Queen) ableToHoldParts(ctx context.Context, but string) []string {
	ids := q.books.whose(func(ops.HiveSnapshot) bool { return true })
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == but || q.schedule.HiveDrained(id) })
	able := map[string]uint64{}
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, part := range partsFor(dryRun(but), ids, make([]uint64, len(ids))) {
		asking.Go(func() {
			if q.roomForParts(ctx, []ops.WorkerSpawn{part}, false) != nil {
				return
			}
			snapshot, _ := q.books.snapshot(part.HiveID)
			mu.Lock()
			defer mu.Unlock()
			able[part.HiveID] = freeMemory(snapshot.Hive.Devices) + idleMemory(snapshot)
		})
	}
	asking.Wait()
	ids = slices.DeleteFunc(ids, func(id string) bool { _, ok := able[id]; return !ok })
	slices.SortStableFunc(ids, func(a, b string) int { return cmp.Compare(able[b], able[a]) })
	return ids
}

// dryRun stands for a worker that nobody starts, to ask whether its parts would fit.
func dryRun(hive string) split { return split{hive: hive, id: "none"} }

// fitsDivided reports whether a model would fit, divided as o says: each hive is asked
// whether it has room for its part, and nothing is started or unloaded.
func (q *Queen) fitsDivided(ctx context.Context, o ops.WorkerSpawn) bool {
	frees, err := q.divide(ctx, &o)
	if err != nil {
		return false
	}
	takes, err := q.wouldTake(ctx, o)
	all := uint64(0)
	for _, free := range frees {
		all += free
	}
	if err != nil || takes == 0 || takes+takes/64 > all { // some may be gone when the command is typed
		return false
	}
	parts := partsFor(dryRun(o.Hives[0]), o.Hives[1:], partSizes(takes, o.Share, frees)[1:])
	return q.roomForParts(ctx, parts, false) == nil && differing(q.engines(ctx).Engines, o.Hives) == ""
}

// wouldTake is how many bytes a divided worker takes with all its parts, where the first
// of its hives has room for its own.
func (q *Queen) wouldTake(ctx context.Context, o ops.WorkerSpawn) (uint64, error) {
	first := o.Hives[0]
	if have := q.books.with(o.Model); len(have) > 0 && !slices.Contains(have, first) {
		h, err := q.reach(ctx, first)
		if err != nil {
			return 0, err
		}
		return q.wouldFit(ctx, h, first, have[0], o)
	}
	o.WouldFit = true
	room, err := ask(ctx, q, first, ops.On(o, first).(ops.WorkerSpawn))
	return room.PartBytes, err
}
