package hive

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/fit"
	"rbee.dev/rbee/ops"
)

// place finds a worker's place and starts it there. Workers are placed one after
// the other: each counts what those before it will take, so that no two are
// given the same memory. there says that the worker is there already, and start
// starts it, where it still is not.
func (h *Hive) place(ctx context.Context, w want, there func() bool, start func(want) (*member, bool)) (*member, error) {
	placed, err := h.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer placed()
	if !there() {
		if w, err = h.makeRoom(ctx, w); err != nil {
			return nil, err
		}
	}
	w.threads, w.called = h.Cores.Threads(), h.asCalled(ctx, w)
	m, started := start(w)
	if started {
		h.narrateStart(ctx, m, w)
	}
	return m, nil
}

// turn waits until no other worker is being placed.
func (h *Hive) turn(ctx context.Context) (placed func(), err error) {
	select {
	case h.placing <- struct{}{}:
		return func() { <-h.placing }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// roomOnly makes room for a worker of a divided model, or for a part of one, before
// any of them is started; or it tells of any worker whether it would have room.
func (h *Hive) roomOnly(ctx context.Context, w want) (ops.Worker, error) {
	placed, err := h.turn(ctx)
	if err != nil {
		return ops.Worker{}, err
	}
	defer placed()
	if w, err = h.makeRoom(ctx, w); err != nil {
		return ops.Worker{}, err
	}
	if w.partOf != "" {
		return ops.Worker{PartBytes: w.partBytes}, nil
	}
	whole := w
	whole.stays = 0
	shape := h.shapeOf(whole, w.model.ID)
	return ops.Worker{Model: w.model.ID, PartBytes: shape.Need(w.run(shape)).Total()}, nil
}

// makeRoom chooses the device, where that is left open, and sees that the model
// fits there. It unloads workers that have nothing to do where too little is
// free, pinned models excepted; a model that does not fit then either is refused, with the numbers and
// with what would fit.
func (h *Hive) makeRoom(ctx context.Context, w want) (want, error) {
	switch {
	case w.engine == command: // what it takes is for its command line to say
		return w, nil
	case w.partOf != "":
		return w, h.makeRoomForPart(ctx, w)
	}
	shape := h.shapeOf(w, w.model.ID)
	run := w.run(shape)
	need := shape.Need(run)
	spots, err := h.spots(ctx, w)
	if err != nil {
		return w, err
	}
	best := -1
	for i := range spots { // without unloading any
		if best < 0 && h.fits(ctx, spots[i], need) {
			best = i
		}
	}
	for i := 0; i < len(spots) && best < 0; i++ {
		ok, err := h.clear(ctx, w, spots[i], need)
		if err != nil {
			return w, err
		}
		if ok {
			best = i
		}
	}
	if best < 0 {
		return w, h.refusal(ctx, w, run, shape, spots[len(spots)-1])
	}
	w.device, w.prompts = spots[best].device, h.promptCache(ctx, w, spots[best], need)
	if w.anyDevice && spots[best].why != "" {
		ops.Narrate(ctx, "device_choose", "%s takes about %s: %s", w.model.ID, humanBytes(need.Total()), spots[best].why)
	}
	return w, nil
}

// shapeOf is the model, or what of it is to be here of one that is divided.
func (h *Hive) shapeOf(w want, model string) fit.Model {
	shape := h.models.shape(model)
	if w.shape != nil && model == w.model.ID {
		shape = *w.shape
	}
	shape.Share = w.stays
	return shape
}

// fits reports whether so much is free in the spot, or nobody can say.
func (h *Hive) fits(ctx context.Context, s spot, need fit.Need) bool {
	total, free := h.free(ctx, s, nil)
	return total == 0 || need.Total() <= free
}

// yields reports whether a worker would be unloaded to make room in the spot.
func (h *Hive) yields(s spot, i ops.Worker) bool {
	return s.shares(i.Device) && !h.models.pinned(i.Model)
}

// clear unloads workers that have nothing to do and hold some of the spot's
// memory, the longest idle first, until the model fits, and reports whether it
// does. None is unloaded for a model that would not fit even without them all, nor
// where it is only asked whether it would.
func (h *Hive) clear(ctx context.Context, w want, s spot, need fit.Need) (bool, error) {
	for !h.fits(ctx, s, need) {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if _, free := h.freeable(ctx, s); need.Total() > free {
			return false, nil
		}
		if w.wouldFit {
			return true, nil
		}
		idle := h.fleet.spare(func(i ops.Worker) bool { return h.yields(s, i) })
		if idle == nil {
			return false, nil
		}
		left := h.unclaimed(ctx, s, idle) // before, while its memory can be seen
		if !idle.retire(ctx) {
			continue
		}
		// Not which worker: who asks may be somebody who must not know of it.
		ops.Narrate(ctx, "worker_unload", "unloading %s, which has nothing to do, to make room for %s", idle.tell().Model, w.name())
		if err := h.fleet.remove(ctx, idle); err != nil {
			return false, err
		}
		h.comeBack(ctx, s, need, left)
	}
	return true, context.Cause(ctx)
}

// free is the memory of a spot, in bytes: all of it, and what is left of it when
// those who have a place take all that they need, without the workers that are
// gone. total is 0 when it is not known.
func (h *Hive) free(ctx context.Context, s spot, gone map[*member]bool) (total, free uint64) {
	for _, pool := range s.pools {
		all, left := h.freeIn(ctx, pool, gone)
		if all == 0 {
			return 0, 0
		}
		total += all - min(all, s.spare)
		free += left - min(left, s.spare)
	}
	return total, free
}

// freeable is free as it would be without the workers that have nothing to do. A
// little does not count, which others may take until those have ended.
func (h *Hive) freeable(ctx context.Context, s spot) (total, free uint64) {
	total, free = h.free(ctx, s, h.idleIn(s))
	return total, free - free/128
}

// freeIn is free for one pool of memory: the machine's, or a card's.
func (h *Hive) freeIn(ctx context.Context, pool string, gone map[*member]bool) (total, free uint64) {
	total, free = h.pool(ctx, pool)
	for m := range gone {
		if pools := h.machine.poolsOf(m.tell().Device); gone[m] && slices.Contains(pools, pool) {
			free += h.given(m, pool) / uint64(len(pools))
		}
	}
	return total, min(total, free-min(free, h.promised(pool, gone)))
}

// promised is how much of what counts as free in a pool the workers are still going
// to take, without those that are gone.
func (h *Hive) promised(pool string, gone map[*member]bool) (bytes uint64) {
	for _, m := range h.fleet.all() {
		pools := h.machine.poolsOf(m.tell().Device)
		switch {
		case gone[m]:
		case slices.Contains(pools, pool):
			bytes += h.outstanding(m, pool) / uint64(len(pools))
		case pool == processor: // its model is on a card, but not the prompts
			held, _ := ownMemory(m.tell().PID)
			bytes += promptsOf(m.tell(), held, mostOfProgram)
		}
	}
	return bytes
}

// pool is one pool of memory as the machine counts it, in bytes, 0 where it is not known.
func (h *Hive) pool(ctx context.Context, pool string) (total, free uint64) {
	if pool == processor {
		return h.Memory(ctx)
	}
	for _, d := range h.machine.list() {
		if d.ID == pool {
			return d.MemoryBytes, d.MemoryFreeBytes
		}
	}
	return 0, 0
}

// given is how much of a pool's memory, which does not count as free there, a worker
// gives back at its end.
func (h *Hive) given(m *member, pool string) uint64 {
	i := m.tell()
	if pool == processor {
		held, _ := ownMemory(i.PID)
		return held
	}
	return h.needs(m, i)
}

// needs is how much memory a worker takes, in bytes; 0 is not known.
func (h *Hive) needs(m *member, i ops.Worker) uint64 {
	if _, err := h.models.get(i.Model); err != nil {
		return 0
	}
	shape := h.models.shape(i.Model)
	shape.Share = m.ownShare(i)
	spec := inference.Spec{ContextLength: cmp.Or(i.Context, m.want.context), Parallel: cmp.Or(i.Slots, m.want.parallel), Flags: m.want.flags}
	return shape.Need(runOf(i.Engine, shape, spec)).Total()
}

// outstanding is how much a worker is still going to take of a pool's memory,
// which counts as free there. The weights are a mapped file, which the system
// could drop: they count as free even when they are loaded.
func (h *Hive) outstanding(m *member, pool string) uint64 {
	i := m.tell()
	if i.Engine == ops.EngineRPC {
		return h.outstandingOfPart(i)
	}
	if i.State == ops.WorkerFailed || i.Engine == command || pool != processor && i.State != ops.WorkerLoading {
		return 0 // a card's driver knows
	}
	need := h.needs(m, i)
	if pool != processor {
		return need
	}
	held, known := ownMemory(i.PID)
	if !known && i.State != ops.WorkerLoading {
		return 0
	}
	return need - min(need, held) + promptsOf(i, held, need)
}

// mostOfProgram is how much of the machine's memory a server takes whose model is
// on a card, in bytes: its driver's library takes more than itself.
const mostOfProgram = 512 << 20

// poolsOf are the memories that a worker on a device takes of. A GPU that shares
// the machine's memory has none of its own.
func (m *machine) poolsOf(device string) []string {
	var pools []string
	for _, d := range m.list() {
		own := d.Kind != processor && !d.SharesMemory
		if own && slices.Contains(strings.Split(device, ","), d.ID) {
			pools = append(pools, d.ID)
		}
	}
	if len(pools) == 0 {
		return []string{processor}
	}
	return pools
}
