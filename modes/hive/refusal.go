package hive

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/dustin/go-humanize/english"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/fit"
	"rbee.dev/rbee/ops"
)

// refusal is the error for a model that does not fit: what it takes, what is
// free, and what would fit.
func (h *Hive) refusal(ctx context.Context, w want, run fit.Run, shape fit.Model, s spot) error {
	need := shape.Need(run)
	total, free := h.free(ctx, s, h.idleIn(s))
	where := "hive " + h.Name
	if s.device != processor && s.device != auto {
		where = s.device + " of " + where
	}
	parts := []string{humanBytes(need.Weights) + " of weights"}
	if need.Cache > 0 {
		parts = append(parts, fmt.Sprintf("%s for %s of %d tokens", humanBytes(need.Cache), english.Plural(run.Parallel, "request", ""), run.Context))
	}
	if rest := need.Compute + need.Program; rest > 0 {
		parts = append(parts, humanBytes(rest)+" to compute with")
	}
	code := ops.CodeUnavailable
	if h.fleet.busyIn(func(i ops.Worker) bool { return h.yields(s, i) }) && need.Total() <= total {
		code = ops.CodeBusy // later there may be room
	}
	what := w.model.ID
	if len(w.parts) > 0 {
		what = fmt.Sprintf("the part of %s that %s is to hold", what, where)
	}
	return ops.Errorf(code, "%s takes about %s (%s), and of the %s that %s has, %s are free for it",
		what, humanBytes(need.Total()), strings.Join(parts, ", "), humanBytes(total), where, humanBytes(free)).
		WithHint("%s", h.wouldFit(w, run, shape, free)+h.stays(s, need.Total() <= total))
}

// leastContext is the shortest context that is worth a hint, in tokens.
const leastContext = 512

// idleIn are the workers that are unloaded where a model needs their room in the
// spot, which they have left where one is refused that is too big even then.
func (h *Hive) idleIn(s spot) map[*member]bool {
	idle := map[*member]bool{}
	for _, m := range h.fleet.all() {
		idle[m] = m.isIdle() && h.yields(s, m.tell())
	}
	return idle
}

// wouldFit says what would fit into so much memory in place of a model: a shorter context, fewer
// requests, another quantisation.
func (h *Hive) wouldFit(w want, run fit.Run, shape fit.Model, free uint64) string {
	for _, parallel := range []int{run.Parallel, 1} {
		fewer := runOf(w.engine, shape, inference.Spec{ContextLength: run.Context, Parallel: parallel, Flags: w.flags})
		if n := shape.Longest(fewer, free); n >= leastContext {
			return fmt.Sprintf("`%s --parallel %d --context-length %d` fits", h.spawnLine(w, w.model.ID), parallel, n)
		}
	}
	var best ops.Model
	for _, m := range h.models.list() {
		near := math.Abs(float64(m.Parameters-w.model.Parameters)) <= float64(w.model.Parameters)/20
		other := m.ID != w.model.ID && m.Error == "" && m.Architecture == w.model.Architecture && near
		if !other || m.Size <= best.Size {
			continue
		}
		o := h.shapeOf(w, m.ID)
		if o.Need(w.run(o)).Total() <= free {
			best = m
		}
	}
	if best.ID != "" {
		return fmt.Sprintf("`%s` fits: it is the same in %s", h.spawnLine(w, best.ID), best.Quantization)
	}
	need := shape.Need(runOf(w.engine, shape, inference.Spec{ContextLength: leastContext, Parallel: 1, Flags: w.flags}))
	here := w.model.Parameters
	if w.stays > 0 {
		here = int64(float64(here) * w.stays)
	}
	if name := quantisation(free-min(free, need.Total()-need.Weights), here); name != "" {
		return h.download(w.model, name)
	}
	return "take a smaller model; `rbee worker list` shows the workers that hold memory, and `rbee worker delete` ends one"
}

// spawnLine is the command that spawns a worker as w is wanted.
func (h *Hive) spawnLine(w want, model string) string {
	line := "rbee worker spawn " + model + ops.HiveFlag(h.Name)
	if len(w.parts) > 0 { // which says the engine, too
		line = "rbee worker spawn " + model + " --hives " + strings.Join(append([]string{h.Name}, w.parts...), ",")
	} else if !w.anyEngine {
		line += " --engine " + w.engine
	}
	if !w.anyDevice {
		line += " --device " + w.device
	}
	return line
}

// download says how to get a model in another quantisation.
func (h *Hive) download(m ops.Model, quantisation string) string {
	source, isHub := strings.CutPrefix(m.Source, "hf:")
	if !isHub {
		return fmt.Sprintf("in %s it would fit, with a short context", quantisation)
	}
	repo, _, _ := strings.Cut(source, ":")
	return fmt.Sprintf("in %s it would fit, with a short context: `rbee model download%s hf:%s:%s`", quantisation, ops.HiveFlag(h.Name), repo, quantisation)
}

// quantisations are those that people make, with how many bits each weight takes
// in them.
var quantisations = []struct {
	name string
	bits float64
}{{"Q8_0", 8.5}, {"Q6_K", 6.6}, {"Q5_K_M", 5.7}, {"Q4_K_M", 4.9}, {"Q3_K_M", 4}, {"Q2_K", 3.4}}

// quantisation is the best in which so many weights take no more than free
// bytes, or "".
func quantisation(free uint64, weights int64) string {
	for _, q := range quantisations {
		if weights > 0 && float64(weights)*q.bits/8 <= float64(free) {
			return q.name
		}
	}
	return ""
}
