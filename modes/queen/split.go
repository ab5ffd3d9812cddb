package queen

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
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
	if err := q.lacksHives(o); err != nil {
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
	result, err := q.startSplit(ctx, whole, o, sink)
	if err != nil && ctx.Err() == nil {
		err = q.tellVersions(ctx, o.Hives, err)
	}
	return result, err
}

// lacksHives is the error of hives that a model is to be divided over and there are not.
func (q *Queen) lacksHives(o ops.WorkerSpawn) error {
	for _, id := range o.Hives {
		if _, err := q.hive(id); err != nil {
			return field(err, "hives")
		}
	}
	return nil
}

// startSplit starts the parts and then the worker. Of a job that is taken up after
// a restart, and whose worker was asked for, the parts are there: it is followed
// on as what it was, whatever memory is free by now.
func (q *Queen) startSplit(ctx context.Context, whole split, o ops.WorkerSpawn, sink ops.Sink) (any, error) {
	if sink.Cursor().JobID == sink.JobID() {
		h, err := q.reach(ctx, whole.hive)
		if err != nil {
			return nil, err
		}
		if there, ok := submitted[ops.WorkerSpawn](ctx, h.jobs(), sink.JobID()); ok {
			return q.forward(ctx, whole.hive, there)
		}
	}
	frees, err := q.divide(ctx, &o)
	if err != nil {
		return nil, err
	}
	divided := func(size uint64) []ops.WorkerSpawn {
		return partsFor(whole, o.Hives[1:], partSizes(size, o.Share, frees)[1:])
	}
	err = q.bringModel(ctx, o.Hives[0], o, func(size uint64) error { return q.roomForParts(ctx, divided(size), false) })
	if err != nil {
		return nil, err
	}
	size, err := q.roomFor(ctx, o)
	if err != nil {
		return nil, err
	}
	parts := divided(size)
	if err := q.roomForParts(ctx, parts, true); err != nil {
		return nil, err
	}
	if err := q.spawnParts(ctx, parts, sink); err != nil {
		return nil, err
	}
	return q.forward(ctx, whole.hive, o)
}

// roomFor has the first hive make room for its part, or say why it cannot: before
// the others begin. It returns how much memory the whole model takes, in bytes.
func (q *Queen) roomFor(ctx context.Context, o ops.WorkerSpawn) (uint64, error) {
	h, err := q.reach(ctx, o.Hives[0])
	if err != nil {
		return 0, err
	}
	o.RoomOnly = true
	room, err := transport.Call(ctx, h.jobs(), ops.On(o, o.Hives[0]).(ops.WorkerSpawn))
	return room.PartBytes, err
}

// divide looks at the memory of the hives, sets the share of the first one, where
// nobody has, and returns how much is free of each, in bytes. Without an
// accelerator llama.cpp itself would leave the first one nothing; among devices it
// divides by their free memory by itself.
func (q *Queen) divide(ctx context.Context, o *ops.WorkerSpawn) (frees []uint64, err error) {
	frees = make([]uint64, len(o.Hives))
	var weights, all uint64
	told := make([]string, len(o.Hives))
	for i, id := range o.Hives {
		snapshot, err := q.probe(ctx, id, look{Anew: true})
		if err != nil {
			return nil, err
		}
		now := freeMemory(snapshot.Hive.Devices)
		frees[i] = min(now+idleMemory(snapshot), max(now, allMemory(snapshot.Hive.Devices)))
		all += frees[i]
		told[i] = fmt.Sprintf("%s (%s free)", id, humanize.IBytes(now))
		if frees[i] > now {
			told[i] = fmt.Sprintf("%s (%s free, %s without idle workers)", id, humanize.IBytes(now), humanize.IBytes(frees[i]))
		}
		if i > 0 {
			continue
		}
		for _, m := range slices.Concat(snapshot.Models, q.books.models()) { // it may have to come there
			if m.ID == o.Model && m.Error == "" && weights == 0 {
				weights = uint64(max(m.Size, 0))
			}
		}
	}
	if weights > all && all > 0 {
		return nil, ops.Errorf(ops.CodeUnavailable, "%s takes %s of memory, and %s have less together", o.Model, humanize.IBytes(weights), strings.Join(told, ", ")).
			WithHint("add another hive, or take a model with fewer bits per weight")
	}
	ops.Narrate(ctx, "worker_split", "dividing the model over %s", strings.Join(told, ", "))
	if o.Share == 0 && all > 0 && frees[0] > 0 {
		o.Share = min(max(float64(frees[0])/float64(all), 0.01), 0.99)
	}
	return frees, nil
}

// partSizes divides so many bytes: the share of the first, and the rest by what is
// free of the others.
func partSizes(size uint64, share float64, frees []uint64) []uint64 {
	sizes := make([]uint64, len(frees))
	others := uint64(0)
	for _, free := range frees[1:] {
		others += free
	}
	sizes[0] = uint64(float64(size) * share)
	for i := 1; i < len(frees) && others > 0; i++ {
		sizes[i] = uint64(float64(size) * (1 - share) * float64(frees[i]) / float64(others))
	}
	return sizes
}

// idleMemory is what workers of a hive hold that it would unload to make room, as
// far as is known, in bytes.
func idleMemory(s ops.HiveSnapshot) (held uint64) {
	for _, w := range s.Workers {
		if w.State != ops.WorkerReady || w.Running > 0 || w.PartOf != "" {
			continue
		}
		for _, m := range s.Models {
			if m.ID == w.Model && !m.Pinned {
				held += uint64(max(m.Size, m.Memory, 0))
			}
		}
	}
	return held
}

// allMemory is all the memory of which [freeMemory] is what is free.
func allMemory(devices []ops.Device) uint64 {
	full := slices.Clone(devices)
	for i := range full {
		full[i].MemoryFreeBytes = full[i].MemoryBytes
	}
	return freeMemory(full)
}

// freeMemory is what a hive has free for weights, in bytes: that of its
// accelerators, or else its own.
func freeMemory(devices []ops.Device) (free uint64) {
	for _, d := range ops.Accelerators(devices) {
		free += d.MemoryFreeBytes
	}
	for _, d := range devices {
		if d.Kind == "cpu" && free == 0 {
			free = d.MemoryFreeBytes
		}
	}
	return free
}

// partJob is the id of the job that starts a part, made from that of the whole.
func partJob(jobID, hive string) string {
	sum := sha256.Sum256([]byte(jobID + "/" + hive))
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
}

// partsFor are the parts of a worker's model on further hives, of those sizes in bytes.
func partsFor(whole split, hives []string, sizes []uint64) (parts []ops.WorkerSpawn) {
	for i, id := range hives {
		parts = append(parts, ops.WorkerSpawn{
			OnHive: ops.OnHive{HiveID: id}, Engine: ops.EngineRPC, Split: ops.Split{PartOf: whole.String(), PartBytes: sizes[i]},
		})
	}
	return parts
}

// roomForParts has each hive make room for its part, or only tell whether it could, or
// say why it cannot: before any of them begins.
func (q *Queen) roomForParts(ctx context.Context, parts []ops.WorkerSpawn, really bool) error {
	return together(parts, func(part ops.WorkerSpawn) error {
		h, err := q.reach(ctx, part.HiveID)
		if err == nil {
			part.RoomOnly, part.WouldFit = really, !really
			_, err = transport.Call(ctx, h.jobs(), part)
		}
		return err
	})
}

// spawnParts starts the parts, all at once.
func (q *Queen) spawnParts(ctx context.Context, parts []ops.WorkerSpawn, sink ops.Sink) error {
	return together(parts, func(part ops.WorkerSpawn) error {
		return q.spawnPart(ctx, part, partJob(sink.JobID(), part.HiveID), false)
	})
}

// together does something for all parts at once.
func together(parts []ops.WorkerSpawn, do func(ops.WorkerSpawn) error) error {
	errs := make([]error, len(parts))
	var doing sync.WaitGroup
	for i, part := range parts {
		doing.Go(func() { errs[i] = do(part) })
	}
	doing.Wait()
	return errors.Join(errs...)
}

// spawnPart starts a part under a job's id ("" chooses one). One that was started
// before the queen's restart is the same.
func (q *Queen) spawnPart(ctx context.Context, part ops.WorkerSpawn, jobID string, silent bool) error {
	h, err := q.reach(ctx, part.HiveID)
	if err != nil {
		return err
	}
	if jobID != "" {
		if there, ok := submitted[ops.WorkerSpawn](ctx, h.jobs(), jobID); ok {
			part = there
		}
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
	if o.IfIdle { // it is unloaded, no more
		return result, nil
	}
	return result, q.ended(ctx, id, o.ID)
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
