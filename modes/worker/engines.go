package worker

import (
	"context"
	"maps"
	"slices"
	"strings"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/builtin"
	"rbee.dev/rbee/inference/command"
	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/ops"
)

// Open loads a model into an engine. It returns when the engine can answer.
type Open func(ctx context.Context, s inference.Spec) (inference.Engine, error)

// auto stands for the engine that a worker uses unless told otherwise: the
// preferred one where its program is found, else the one that is built in.
const (
	auto      = "auto"
	preferred = "llamacpp"
	fallback  = "builtin"
)

// engines is what this build has, by name.
func engines() map[string]Open {
	return map[string]Open{
		"builtin": opener(builtin.Open),
		"llamacpp": opener(func(ctx context.Context, s inference.Spec) (*llamacpp.Engine, error) {
			return llamacpp.Open(ctx, s, llamacpp.Options{})
		}),
		ops.EngineRPC: opener(llamacpp.OpenRPC),
		"command":     opener(command.Open),
	}
}

// opener makes an Open of a function that returns an engine of its own type.
func opener[E inference.Engine](open func(context.Context, inference.Spec) (E, error)) Open {
	return func(ctx context.Context, s inference.Spec) (inference.Engine, error) {
		engine, err := open(ctx, s)
		if err != nil {
			return nil, err // and no interface that holds a nil pointer
		}
		return engine, nil
	}
}

// choose returns the engine that is asked for, with its name. program is the
// preferred one's, where it need not be looked for.
func choose(table map[string]Open, name, program string) (string, Open, error) {
	if name == "" || name == auto {
		name = fallback
		if _, ok := table[preferred]; ok {
			if _, err := llamacpp.Find(program); err == nil {
				name = preferred
			}
		}
	}
	if open, ok := table[name]; ok {
		return name, open, nil
	}
	e := ops.Errorf(ops.CodeUnsupported, "there is no engine %q", name).
		WithHint("this build has: %s", strings.Join(slices.Sorted(maps.Keys(table)), ", "))
	e.Field = "worker"
	return "", nil, e
}
