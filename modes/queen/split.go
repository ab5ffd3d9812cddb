package queen

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/dustin/go-humanize"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// spawnSplit starts a worker whose model is divided over several hives: first a
// part on each further one, then the worker itself on the first, which loads the
// model through the session that the splits hold with it. When it fails, nothing
// of it stays.
func (q *Queen) spawnSplit(ctx context.Context, o ops.WorkerSpawn) (_ any, err error) {
	sink := ops.SinkOf(ctx)
	if sink == nil {
		return nil, errors.New("a divided model without a job")
	}
	for _, id := range o.Hives {
		if _, err := q.hive(id); err != nil {
			e := ops.AsError(err)
			e.Field = "hives"
			return nil, e
		}
	}
	if err := q.bringModel(ctx, o.Hives[0], o.Model); err != nil {
		return nil, err
	}
	if o.Share, err = q.divide(ctx, o); err != nil {
		return nil, err
	}
	whole := split{hive: o.Hives[0], id: ops.WorkerIDOf(sink.JobID())}
	q.splits.begin(whole)
	defer q.splits.begun(whole)
	defer func() {
		if err != nil && !errors.Is(context.Cause(ctx), ops.ErrDetached) {
			q.endParts(context.WithoutCancel(ctx), whole, o.Hives[1:], sink.JobID())
		}
	}()
	if err := q.spawnParts(ctx, whole, o, sink); err != nil {
		return nil, err
	}
	result, err := q.forward(ctx, whole.hive, o)
	if err != nil && ctx.Err() == nil {
		err = q.tellVersions(ctx, o.Hives, err)
	}
	return result, err
}

// divide looks at the memory of the hives and returns the share of the first
// one. Without an accelerator llama.cpp itself would leave it nothing; among
// devices it divides by their free memory by itself.
func (q *Queen) divide(ctx context.Context, o ops.WorkerSpawn) (share float64, err error) {
	frees, all := make([]uint64, len(o.Hives)), uint64(0)
	var size int64
	for i, id := range o.Hives {
		snapshot, err := q.probe(ctx, id, true)
		if err != nil {
			return 0, err
		}
		frees[i] = freeMemory(snapshot.Hive.Devices)
		all += frees[i]
		for _, m := range snapshot.Models {
			if i == 0 && m.ID == o.Model {
				size = m.Size
			}
		}
	}
	if share = o.Share; share == 0 && all > 0 && frees[0] > 0 {
		share = min(max(float64(frees[0])/float64(all), 0.01), 0.99)
	}
	told := make([]string, len(frees))
	for i, free := range frees {
		told[i] = fmt.Sprintf("%s (%s free)", o.Hives[i], humanize.IBytes(free))
	}
	if size > 0 && all > 0 && uint64(size) > all {
		return 0, ops.Errorf(ops.CodeUnavailable, "%s takes %s of memory, and %s have less together", o.Model, humanize.IBytes(uint64(size)), strings.Join(told, ", ")).
			WithHint("add another hive, or take a model with fewer bits per weight")
	}
	ops.Narrate(ctx, "worker_split", "dividing the model over %s", strings.Join(told, ", "))
	return share, nil
}

// freeMemory is what a hive has free for weights, in bytes: that of its
// accelerators, or else its own.
func freeMemory(devices []ops.Device) (free uint64) {
	var cpu uint64
	for _, d := range devices {
		if d.Kind == "cpu" {
			cpu = d.MemoryFreeBytes
			continue
		}
		free += d.MemoryFreeBytes
	}
	if free == 0 {
		return cpu
	}
	return free
}

// partJob is the id of the job that starts a part, made from that of the whole.
func partJob(jobID, hive string) string {
	sum := sha256.Sum256([]byte(jobID + "/" + hive))
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
}

// spawnParts starts the parts, all at once. Of a job that is taken up again they
// were started before, and the hives' jobs say so at once.
func (q *Queen) spawnParts(ctx context.Context, whole split, o ops.WorkerSpawn, sink ops.Sink) error {
	again := sink.Cursor().JobID == sink.JobID()
	hives := o.Hives[1:]
	errs := make([]error, len(hives))
	var starting sync.WaitGroup
	for i, id := range hives {
		starting.Go(func() {
			part := ops.WorkerSpawn{OnHive: ops.OnHive{HiveID: id}, Engine: ops.EngineRPC, Split: ops.Split{PartOf: whole.String()}}
			errs[i] = q.spawnPart(ctx, part, partJob(sink.JobID(), id), again)
		})
	}
	starting.Wait()
	return errors.Join(errs...)
}

// spawnPart starts a part under a job's id ("" chooses one).
func (q *Queen) spawnPart(ctx context.Context, part ops.WorkerSpawn, jobID string, silent bool) error {
	h, err := q.reach(ctx, part.HiveID)
	if err != nil {
		return err
	}
	_, err = h.jobs().Do(ctx, part, jobID, func(r transport.Received) error {
		if !silent {
			ops.Emit(ctx, r.Event)
		}
		return nil
	})
	return err
}

// endParts ends the parts that a job has started.
func (q *Queen) endParts(ctx context.Context, whole split, hives []string, jobID string) {
	var ending sync.WaitGroup
	for _, id := range hives {
		ending.Go(func() { q.endPart(ctx, whole, id, ops.WorkerIDOf(partJob(jobID, id))) })
	}
	ending.Wait()
}

// endPart ends a part, if it is there. Where its hive cannot be reached, the
// splits end it once that is back.
func (q *Queen) endPart(ctx context.Context, whole split, hive, id string) {
	_, err := ask(ctx, q, hive, ops.WorkerDelete{OnHive: ops.OnHive{HiveID: hive}, ID: id})
	if err != nil && ops.CodeOf(err) != ops.CodeNotFound {
		q.Log.Warn().Err(err).Str("hive", hive).Str("worker", id).Stringer("part_of", whole).Msg("a part stays until its hive can be reached")
	}
}

// deleteWorker ends a worker, and with one whose model is divided its parts.
func (q *Queen) deleteWorker(ctx context.Context, id string, o ops.WorkerDelete) (any, error) {
	whole := split{hive: id, id: o.ID}
	if w, ok := q.worker(whole); ok && w.PartOf != "" {
		hive, main := ops.SplitPartOf(w.PartOf)
		if _, lives := q.worker(split{hive: hive, id: main}); lives {
			return nil, ops.Errorf(ops.CodeConflict, "worker %s holds a part of the model of worker %s on hive %s", o.ID, main, hive).
				WithHint("`rbee worker delete %s --hive %s` ends them all", main, hive)
		}
	}
	result, err := q.forward(ctx, id, o)
	if err != nil {
		return nil, err
	}
	var ending sync.WaitGroup
	for _, p := range q.partsOf(whole) {
		ops.Narrate(ctx, "worker_stop", "stopping its part %s on hive %s", p.ID, p.HiveID)
		ending.Go(func() { q.endPart(ctx, whole, p.HiveID, p.ID) })
	}
	ending.Wait()
	return result, nil
}

// endSplits ends the parts, on other machines, of workers on this one, which
// ends with the queen.
func (q *Queen) endSplits(ctx context.Context) {
	var ending sync.WaitGroup
	for _, w := range q.books.workers() {
		hive, id := ops.SplitPartOf(w.PartOf)
		if hive == ops.LocalHive && w.HiveID != ops.LocalHive {
			ending.Go(func() { q.endPart(ctx, split{hive: hive, id: id}, w.HiveID, w.ID) }) // or the next queen does
		}
	}
	ending.Wait()
}
