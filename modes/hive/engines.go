package hive

import (
	"errors"
	"strings"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/ops"
)

// Names of engines, and of the choice that is left to the hive.
const (
	auto     = "auto"
	builtin  = "builtin"
	llamaCpp = "llamacpp"
	command  = "command"
)

// usualEngine is the engine of a worker for which nobody asks for another.
func usualEngine() string {
	if _, missing := llamacpp.Find(""); missing == nil {
		return llamaCpp
	}
	return builtin
}

// chooseEngine checks the engine that is asked for. Without one it is llama.cpp
// where its server is found, and else what is built in.
func (h *Hive) chooseEngine(name string) (string, error) {
	_, missing := llamacpp.Find("")
	switch name {
	case "", auto:
		if missing == nil {
			return llamaCpp, nil
		}
		return builtin, nil
	case builtin, command:
		return name, nil
	case llamaCpp:
		if e, ok := errors.AsType[*ops.Error](missing); ok {
			e.Message += " on hive " + h.Name
			return "", e
		}
		return llamaCpp, nil
	}
	has := builtin + ", " + command
	if missing == nil {
		has += ", " + llamaCpp
	}
	e := ops.Errorf(ops.CodeUnsupported, "there is no engine %q on hive %s", name, h.Name).WithHint("it has %s", has)
	e.Field = "worker"
	return "", e
}

// checkDevice refuses a device that is not there, or that the engine does not
// run on.
func (h *Hive) checkDevice(engine, id string) error {
	if id == "cpu" {
		return nil
	}
	devices := h.machine.list()
	ids := make([]string, len(devices))
	for i, d := range devices {
		ids[i] = d.ID
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no device %q on hive %s", id, h.Name).WithHint("it has: %s", strings.Join(ids, ", "))
	for _, d := range devices {
		if d.ID == id && engine != builtin {
			return nil
		}
		if d.ID == id {
			e = ops.Errorf(ops.CodeUnsupported, "the builtin engine runs on cpu only, not on %s (%s)", id, d.Name)
		}
	}
	e.Field = "device"
	return e
}
