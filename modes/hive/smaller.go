package hive

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/fit"
	"rbee.dev/rbee/ops"
)

// leastContext is the shortest context that is worth a hint, in tokens.
const leastContext = 512

// wouldFit says what would fit into so much memory in place of a model: a shorter
// context, fewer requests, less of a divided one, another quantisation.
func (h *Hive) wouldFit(w want, run fit.Run, shape fit.Model, free uint64) string {
	if short, ok := shorter(w, run, shape, free); ok {
		return fmt.Sprintf("`%s` fits", h.spawnLine(short, w.model.ID))
	}
	if less, ok := lesser(w, shape, free); ok {
		return fmt.Sprintf("`%s` fits here", h.spawnLine(less, w.model.ID))
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
	if hint := h.fewerBits(w, run, shape, free); hint != "" {
		return hint
	}
	return "take a smaller model; `rbee worker list` shows the workers that hold memory, and `rbee worker delete` ends one"
}

// shorter is what is wanted with as long a context as fits, for as many requests as
// were asked for or else for one.
func shorter(w want, run fit.Run, shape fit.Model, free uint64) (want, bool) {
	for _, parallel := range []int{run.Parallel, 1} {
		fewer := runOf(w.engine, shape, inference.Spec{ContextLength: run.Context, Parallel: parallel, Flags: w.flags})
		if n := shape.Longest(fewer, free); n >= leastContext {
			w.parallel, w.context = parallel, n
			return w, true
		}
	}
	return w, false
}

// lesser is what is wanted of a divided model with as large a share here as fits.
func lesser(w want, shape fit.Model, free uint64) (want, bool) {
	for hundredths := math.Ceil(100*w.stays) - 1; hundredths > 0; hundredths-- {
		w.stays = hundredths / 100
		shape.Share = w.stays
		if shape.Need(w.run(shape)).Total() <= free {
			return w, true
		}
	}
	return w, false
}

// spawnLine is the command that spawns a worker as w is wanted, here.
func (h *Hive) spawnLine(w want, model string) string {
	words := []string{"rbee worker spawn", model}
	if len(w.parts) > 0 { // which says the engine, too
		words = append(words, "--hives", strings.Join(append([]string{h.Name}, w.parts...), ","))
		if w.stays > 0 {
			words = append(words, "--share", strconv.FormatFloat(max(math.Floor(100*w.stays+1e-9), 1)/100, 'f', -1, 64))
		}
	} else {
		words = append(words, "--hive", h.Name)
		if !w.anyEngine {
			words = append(words, "--engine", w.engine)
		}
	}
	if !w.anyDevice {
		words = append(words, "--device", w.device)
	}
	for _, f := range w.flags {
		words = append(words, "--flag", shellescape.Quote(f))
	}
	return strings.Join(append(words, limits(w)...), " ")
}

// limits are the words of a command that say how many requests at once, and how
// long ones, are wanted.
func limits(w want) (words []string) {
	if w.parallel > 0 {
		words = append(words, "--parallel", strconv.Itoa(w.parallel))
	}
	if w.context > 0 {
		words = append(words, "--context-length", strconv.Itoa(w.context))
	}
	return words
}

// quantisations are those that people make, the best first, with how many bits each
// weight takes in them.
var quantisations = []struct {
	name string
	bits float64
}{{"F16", 16}, {"Q8_0", 8.5}, {"Q6_K", 6.6}, {"Q5_K_M", 5.7}, {"Q4_K_M", 4.9}, {"Q3_K_M", 4}, {"Q2_K", 3.4}}

// fewerBits says in which quantisation a model would fit that is not here: the best
// in which it does as it was asked for, or else with a shorter context; "" is none.
func (h *Hive) fewerBits(w want, run fit.Run, shape fit.Model, free uint64) string {
	for _, asAsked := range []bool{true, false} {
		for _, q := range quantisations {
			other := shape
			other.Weights = uint64(float64(w.model.Parameters) * q.bits / 8)
			if other.Weights == 0 || other.Weights >= shape.Weights {
				continue
			}
			in := fmt.Sprintf("in %s, about %s of weights, it would fit", q.name, humanBytes(other.Weights))
			if other.Need(run).Total() <= free {
				return in + h.download(w.model, q.name)
			}
			if short, ok := shorter(w, run, other, free); ok && !asAsked {
				return fmt.Sprintf("%s with `%s`", in, strings.Join(limits(short), " ")) + h.download(w.model, q.name)
			}
		}
	}
	return ""
}

// download says how to get a model in another quantisation, where that is known.
func (h *Hive) download(m ops.Model, quantisation string) string {
	source, isHub := strings.CutPrefix(m.Source, "hf:")
	if !isHub {
		return ""
	}
	repo, _, _ := strings.Cut(source, ":")
	return fmt.Sprintf(": `rbee model download%s hf:%s:%s`", ops.HiveFlag(h.Name), repo, quantisation)
}
