package hive

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

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
func (h *Hive) usualEngine() string {
	if _, missing := h.llamaServer(); missing == nil {
		return llamaCpp
	}
	return builtin
}

// llamaServer is the path of the llama-server that new workers run: the one that
// RBEE_LLAMA_SERVER names, else the release that was installed last, else the one
// that is found.
func (h *Hive) llamaServer() (string, error) {
	if os.Getenv(llamacpp.PathEnv) == "" {
		if list := h.installed.List(); len(list) > 0 {
			return list[0].Program, nil
		}
	}
	path, err := llamacpp.Find("")
	if e, ok := errors.AsType[*ops.Error](err); ok {
		e.Message += " on hive " + h.Name
		return "", e
	}
	return path, err
}

// usableLlamaServer is llamaServer, unless that cannot be used.
func (h *Hive) usableLlamaServer(ctx context.Context) (string, error) {
	path, err := h.llamaServer()
	if err == nil {
		_, err = h.programs.ask(ctx, path)
	}
	return path, err
}

// chooseEngine checks the engine that is asked for, and tells the program that
// it runs, if it runs one of the hive's choice.
func (h *Hive) chooseEngine(ctx context.Context, name string) (engine, program string, err error) {
	switch name {
	case "", auto:
		return h.autoEngine(ctx)
	case builtin, command:
		return name, "", nil
	case llamaCpp:
		program, err = h.usableLlamaServer(ctx)
		return llamaCpp, program, err
	}
	return "", "", ops.Invalid("worker", "there is no engine %q", name)
}

// autoEngine is llama.cpp where its server is found, and else what is built in.
// A server that cannot be used is told of.
func (h *Hive) autoEngine(ctx context.Context) (engine, program string, err error) {
	path, err := h.llamaServer()
	if named := os.Getenv(llamacpp.PathEnv); err != nil && (named == "" || named == llamacpp.None) {
		return builtin, "", nil // there is none, which is no fault
	}
	if err == nil {
		_, err = h.programs.ask(ctx, path)
	}
	if err != nil {
		if ctx.Err() != nil {
			return "", "", context.Cause(ctx)
		}
		ops.Warn(ctx, "engine_unusable", "%s; taking the builtin engine (%s)", ops.AsError(err).Message, ops.AsError(err).Hint)
		return builtin, "", nil
	}
	return llamaCpp, path, nil
}

// lookSoon is how long the first look at the devices takes that is not worth a word.
const lookSoon = 500 * time.Millisecond

// checkDeviceOnceKnown is checkDevice after the first look at the devices, which the
// cards' drivers may hold up; that is bounded where they are asked.
func (h *Hive) checkDeviceOnceKnown(ctx context.Context, engine, id string) error {
	if id != processor {
		soon, cancel := context.WithTimeout(ctx, lookSoon)
		defer cancel()
		if h.machine.known(soon) != nil && ctx.Err() == nil {
			ops.Narrate(ctx, "device_wait", "waiting for the first look at the devices: a card's driver takes its time")
		}
		if err := h.machine.known(ctx); err != nil {
			return err
		}
	}
	return h.checkDevice(engine, id)
}

// checkDevice refuses a device that is not there, or that the engine does not
// run on.
func (h *Hive) checkDevice(engine, id string) error {
	if id == processor {
		return nil
	}
	if one, others, several := strings.Cut(id, ","); several {
		return errors.Join(h.checkDevice(engine, one), h.checkDevice(engine, others))
	}
	devices := h.machine.list()
	ids := make([]string, len(devices))
	for i, d := range devices {
		ids[i] = d.ID
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no device %q on hive %s", id, h.Name).
		WithHint("%s", strings.Join(append([]string{"it has: " + strings.Join(ids, ", ")}, h.machine.wrong()...), "; not usable: "))
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
