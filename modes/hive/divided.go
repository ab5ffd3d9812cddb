package hive

import (
	"cmp"
	"context"
	"strings"

	"rbee.dev/rbee/inference/fit"
	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/ops"
)

// wanted is the worker that an operation asks for.
func (h *Hive) wanted(ctx context.Context, o ops.WorkerSpawn) (want, error) {
	if o.PartOf != "" {
		return h.wantedPart(ctx, o)
	}
	engine := o.Engine
	if len(o.Hives) > 0 {
		engine = llamaCpp // no other can divide a model
	}
	w, err := h.resolveWay(ctx, engine, o.Device)
	if err == nil && len(o.Hives) > 0 {
		err = h.programs.checkDivides(ctx, w.program)
	}
	switch {
	case err != nil:
	case o.Coming != nil:
		w.model = *o.Coming
	default:
		w.model, err = h.models.choose(ctx, o.Model)
	}
	if err == nil {
		err = h.models.runnable(w.model, w.engine)
	}
	if err == nil && o.Coming != nil {
		w.shape = h.models.coming(ctx, w.model)
	}
	if err != nil {
		return w, err
	}
	w.wouldFit = o.WouldFit
	w.parallel, w.context, w.flags, w.command = o.Parallel, o.Context, o.Flags, o.Command
	if len(o.Hives) > 0 {
		w.parts, w.stays = o.Hives[1:], o.Share
		if w.device == "cpu" || !h.accelerated() {
			w.share = o.Share
		}
	}
	return w, h.checkSettings(w)
}

// wantedPart is one that holds a part of a model that is on another hive's disk.
func (h *Hive) wantedPart(ctx context.Context, o ops.WorkerSpawn) (w want, err error) {
	w = want{engine: ops.EngineRPC, device: o.Device, parallel: 1, partOf: o.PartOf, partBytes: o.PartBytes, wouldFit: o.WouldFit}
	server, _ := h.llamaServer() // without one the other program may be there
	if w.program, err = llamacpp.FindRPC(server); err != nil {
		e := ops.AsError(err)
		e.Message += " on hive " + h.Name
		return w, e
	}
	if w.device == "" {
		w.device = auto
	}
	if w.device != auto {
		err = h.checkDeviceOnceKnown(ctx, w.engine, w.device)
	}
	return w, err
}

// accelerated reports whether the machine has more than a CPU to run on. Without
// such a device llama.cpp would leave nothing of a divided model here.
func (h *Hive) accelerated() bool {
	for _, d := range h.machine.list() {
		if d.Kind != "cpu" {
			return true
		}
	}
	return false
}

// makeRoomForPart sees that what a part is to hold fits into the memory that its
// program takes of. It unloads workers that have nothing to do where too little is
// free; a part that does not fit then either is refused, with the numbers.
func (h *Hive) makeRoomForPart(ctx context.Context, w want) error {
	if w.partBytes == 0 {
		return nil // the queen cannot say
	}
	if err := h.machine.known(ctx); err != nil {
		return err
	}
	h.machine.lookAtCards(ctx)
	s := h.spotOfPart(ctx, w.device)
	ok, err := h.clear(ctx, w, s, fit.Need{Weights: w.partBytes})
	if ok || err != nil {
		return err
	}
	total, free := h.freeable(ctx, s)
	code := ops.CodeUnavailable
	if h.fleet.busyIn(func(i ops.Worker) bool { return h.yields(s, i) }) && w.partBytes <= total {
		code = ops.CodeBusy // later there may be room
	}
	takes, has := apart(w.partBytes, free)
	return ops.Errorf(code, "the part of the model that hive %s is to hold takes about %s, and of the %s that it has, %s are free for it%s",
		h.Name, takes, humanBytes(total), has, h.kept(ctx, s, free)).
		WithHint("name another hive in --hives, give the first one more by --share, or end workers there: `rbee worker list --hive %s` shows them%s", h.Name, h.stays(s, w.partBytes <= total)).
		WithLack(ops.LacksMemory)
}

// spotOfPart is where rpc-server has its memory: of all cards that the llama.cpp
// here can use, unless one is named, or else of the machine.
func (h *Hive) spotOfPart(ctx context.Context, device string) spot {
	if device == auto {
		server, _ := h.llamaServer() // without one any card may be used
		called := h.called(ctx, server)
		var ids []string
		for _, d := range ops.Accelerators(h.machine.gpus()) {
			if called[d.ID] != "" {
				ids = append(ids, d.ID)
			}
		}
		device = strings.Join(ids, ",")
	}
	return spot{device: cmp.Or(device, processor), pools: h.machine.poolsOf(device)}
}

// ownShare is how much of the weights, of all, a worker of a divided model has on
// this machine, as far as is known.
func (m *member) ownShare(i ops.Worker) float64 {
	switch {
	case len(i.Parts) == 0:
		return 1
	case m.want.stays > 0:
		return m.want.stays
	}
	return 1 / float64(len(i.Parts)+1)
}

// outstandingOfPart is how much a part is still going to take of the machine's
// memory, in bytes. On a machine with cards it takes of theirs.
func (h *Hive) outstandingOfPart(i ops.Worker) uint64 {
	cards := ops.Accelerators(h.machine.list())
	if i.State == ops.WorkerFailed || len(cards) > 0 && !cards[0].SharesMemory {
		return 0
	}
	held, _ := ownMemory(i.PID)
	return i.PartBytes - min(i.PartBytes, held)
}
