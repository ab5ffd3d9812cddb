package llamacpp

import (
	"context"
	"errors"
	"os"
	"regexp"

	"rbee.dev/rbee/inference/process"
	"rbee.dev/rbee/ops"
)

// ErrNoBackend is why a program cannot load any model: llama.cpp's backends, also that for
// the CPU, are libraries that it loads when it starts.
var ErrNoBackend = errors.New("none of llama.cpp's backends is there, not even the one for the CPU (libggml-cpu)")

// noTypes is an empty list of what each backend keeps tensors in, which a program tells
// that is asked for an unknown one (llama.cpp's common/arg.cpp).
var noTypes = regexp.MustCompile(`(?m)^Available buffer types:\s*\z`)

// checkBackends refuses a program that has nothing to compute with. What does not tell is
// left to its first start: --list-devices lists no CPU.
func checkBackends(ctx context.Context, program string) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	told, _ := process.Ask(ctx, process.Launch{ // an error in any case
		Path: program, Args: []string{"--override-tensor", "any=none"}, Env: environment(os.Environ(), program), OutputOnly: true,
	})
	if !noTypes.Match(told) {
		return nil
	}
	e := ops.Errorf(ops.CodeUnsupported, "the %s at %s has nothing to compute with: %w", Name, program, ErrNoBackend).WithHint("%s", unusableHint(program))
	e.Field = "worker"
	return e
}
