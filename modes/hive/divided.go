package hive

import (
	"context"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/ops"
)

// wanted is the worker that an operation asks for.
func (h *Hive) wanted(ctx context.Context, o ops.WorkerSpawn) (want, error) {
	if o.PartOf != "" {
		return h.wantedPart(o)
	}
	engine := o.Engine
	if len(o.Hives) > 0 {
		engine = llamaCpp // no other can divide a model
	}
	w, err := h.resolve(ctx, o.Model, engine, o.Device)
	if err != nil {
		return w, err
	}
	w.parallel, w.context, w.flags, w.command = o.Parallel, o.Context, o.Flags, o.Command
	if len(o.Hives) > 0 {
		w.parts, w.stays = o.Hives[1:], o.Share
		if w.device == "cpu" || !h.accelerated() {
			w.share = o.Share
		}
	}
	return w, nil
}

// wantedPart is one that holds a part of a model that is on another hive's disk.
func (h *Hive) wantedPart(o ops.WorkerSpawn) (w want, err error) {
	w = want{engine: ops.EngineRPC, device: o.Device, parallel: 1, partOf: o.PartOf}
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
		err = h.checkDevice(w.engine, w.device)
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
