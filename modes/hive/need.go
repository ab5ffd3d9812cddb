package hive

import (
	"context"
	"math"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/fit"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/modes/hive/fetch"
)

// runOf is how an engine runs a model. What a command line does is not known:
// of its model only the weights are counted.
func runOf(engine string, m fit.Model, s inference.Spec) fit.Run {
	switch engine {
	case builtin:
		return m.Builtin(s)
	case llamaCpp:
		return m.LlamaCpp(s)
	}
	return fit.Run{}
}

// run is how a worker that is wanted runs a model.
func (w want) run(m fit.Model) fit.Run {
	return runOf(w.engine, m, inference.Spec{ContextLength: w.context, Parallel: w.parallel, Flags: w.flags})
}

// needBy is how many bytes a model takes with its projector, run where nobody asks
// for anything else, by the beginnings of their files. ok is false where that of the
// model tells too little.
func (m *models) needBy(model, projector fetch.Beginning) (bytes uint64, ok bool) {
	shape := shapeBy(model, projector)
	return shape.Need(runOf(m.usual(), shape, inference.Spec{})).Total(), shape.Known()
}

// shapeBy is what decides how much memory a model takes, as far as the beginnings of
// its file and of its projector's tell.
func shapeBy(model, projector fetch.Beginning) fit.Model {
	shape := fit.Model{Weights: uint64(max(0, model.Size))} //nolint:gosec // not negative
	if f, err := gguf.ParseHead(model.Head); err == nil {
		shape = fit.Read(f, model.Size)
	}
	if projector.Size > 0 {
		shape.Projector = &fit.Projector{Weights: uint64(projector.Size)}
		if f, err := gguf.ParseHead(projector.Head); err == nil {
			*shape.Projector = fit.ReadProjector(f, projector.Size)
		}
	}
	return shape
}

// roomiest is how many bytes a model can have here at most, where nothing else
// runs: of the machine's memory all but a sixteenth, which is the system's, and
// that of the cards which the engine computes on. 0 is not known. unused tells of the
// other cards, or is "".
func (h *Hive) roomiest(ctx context.Context) (bytes uint64, unused string) {
	total, _ := h.Memory(ctx)
	total -= total / 16
	if total == 0 || h.machine.known(ctx) != nil {
		return total, ""
	}
	engine := llamaCpp
	program, err := h.usableLlamaServer(ctx)
	if err != nil {
		engine = builtin
	}
	used, unused := h.cardsFor(ctx, engine, program)
	for _, d := range used {
		total += d.MemoryBytes - min(d.MemoryBytes, spareOfCard)
	}
	return total, unused
}

// usualMemory is how many bytes a model takes, run as it is where nobody asks
// for anything else; 0 for one that cannot be.
func usualMemory(k described, engine string) int64 {
	if k.model.Error != "" || k.model.Refused != "" {
		return 0
	}
	total := k.shape.Need(runOf(engine, k.shape, inference.Spec{})).Total()
	return int64(min(total, math.MaxInt64)) //nolint:gosec // bounded
}
