package worker

import (
	"context"
	"maps"
	"slices"
	"strings"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/builtin"
	"rbee.dev/rbee/ops"
)

// Open loads a model into an engine. It returns when the engine can answer.
type Open func(ctx context.Context, s inference.Spec) (inference.Engine, error)

// auto stands for the engine that a worker uses unless told otherwise.
const (
	auto     = "auto"
	fallback = "builtin"
)

// engines is what this build has, by name.
func engines() map[string]Open {
	return map[string]Open{
		"builtin": func(ctx context.Context, s inference.Spec) (inference.Engine, error) {
			engine, err := builtin.Open(ctx, s)
			if err != nil {
				return nil, err
			}
			return engine, nil
		},
	}
}

// choose returns the engine that is asked for, with its name.
func choose(table map[string]Open, name string) (string, Open, error) {
	if name == "" || name == auto {
		name = fallback
	}
	if open, ok := table[name]; ok {
		return name, open, nil
	}
	e := ops.Errorf(ops.CodeUnsupported, "there is no engine %q", name).
		WithHint("this build has: %s", strings.Join(slices.Sorted(maps.Keys(table)), ", "))
	e.Field = "worker"
	return "", nil, e
}
