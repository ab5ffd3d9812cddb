package hive

import (
	"math"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/fit"
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

// usualMemory is how many bytes a model takes, run as it is where nobody asks
// for anything else; 0 for one that cannot be.
func usualMemory(k described, engine string) int64 {
	if k.model.Error != "" {
		return 0
	}
	total := k.shape.Need(runOf(engine, k.shape, inference.Spec{})).Total()
	return int64(min(total, math.MaxInt64)) //nolint:gosec // bounded
}
