package hive

import (
	"rbee.dev/rbee/inference"
	template "rbee.dev/rbee/inference/command"
	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/ops"
)

// checkSettings refuses what the engine would refuse of what a person asks for,
// while no worker is there yet that would fail by it.
func (h *Hive) checkSettings(w want) error {
	if len(w.flags) > 0 && w.engine != llamaCpp {
		e := ops.Invalid("flags", "%s is a setting for llama.cpp, and the engine %s takes none", w.flags[0], w.engine)
		switch {
		case w.engine == command:
			return e.WithHint("write it into the command line")
		case h.usualEngine() == llamaCpp:
			return e.WithHint("leave it out, or take --engine llamacpp")
		}
		return e.WithHint("leave it out, or `rbee engine install%s` brings llama.cpp", ops.HiveFlag(h.Name))
	}
	switch w.engine {
	case llamaCpp:
		if err := llamacpp.CheckFlags(w.flags); err != nil {
			return err
		}
	case command:
		if _, err := template.Parse(w.command); err != nil {
			return err
		}
	}
	if w.engine != llamaCpp && w.engine != builtin {
		return nil
	}
	made := w.model.Context
	spec := inference.Spec{ContextLength: w.context}
	if w.engine == llamaCpp {
		spec.Flags = w.flags // by which it can go further
	}
	if err := llamacpp.CheckContext(spec, made); err != nil {
		w.context = made
		return ops.AsError(err).WithHint("`%s` is the most", h.spawnLine(w, w.model.ID))
	}
	return nil
}
