package llamacpp

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"rbee.dev/rbee/inference/process"
	"rbee.dev/rbee/ops"
)

// reasons are what the program says of models that it does not load, and what a
// person can do then. They are llama.cpp's words (src/llama-arch.cpp,
// src/llama-model-loader.cpp, ggml/src/gguf.cpp and its backends).
var reasons = []struct {
	words *regexp.Regexp
	hint  string
}{
	{regexp.MustCompile(`unknown (model|projector) (architecture|type)|unknown pre-tokenizer`), "this llama.cpp does not know such models: `rbee engine install` brings the newest one"},
	{regexp.MustCompile(`(?i)out of memory|failed to allocate|unable to allocate|cudaMalloc failed`), "give it less to hold: --context-length or --parallel, or take a smaller model"},
	{
		regexp.MustCompile(`(?i)corrupted|incomplete|not within the file bounds|failed to read|invalid magic|failed to load model from|wrong number of tensors|missing tensor`),
		"the file may be damaged or have come in part: `rbee model delete` it, and download it again",
	},
}

// explain says of a program that ended instead of loading a model which model
// that was, and what to do.
func explain(ctx context.Context, err error, program string, m model) error {
	death, ok := errors.AsType[*process.Death](err)
	if !ok {
		return err
	}
	if _, unusable := Ask(ctx, program); unusable != nil && ctx.Err() == nil {
		return unusable // whatever it said, that is why
	}
	e := ops.Errorf(ops.CodeUnavailable, "%s: %w", m.path, err)
	if death.Why != "" {
		return e.WithHint("a slow machine gets longer by RBEE_ENGINE_SILENCE; else `rbee engine install` brings another %s", Name)
	}
	said := strings.Join(death.Lines, "\n")
	if strangers.MatchString(said) {
		return estranged(err)
	}
	for _, r := range reasons {
		if r.words.MatchString(said) {
			return e.WithHint("%s", r.hint)
		}
	}
	return e
}
