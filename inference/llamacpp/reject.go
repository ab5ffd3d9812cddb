package llamacpp

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"rbee.dev/rbee/inference/process"
	"rbee.dev/rbee/ops"
)

// reasons are what the program says of models that it does not load, the likeliest
// cause first, and what a person can do then. They are llama.cpp's words (src/llama-arch.cpp,
// src/llama-model-loader.cpp, ggml/src/gguf.cpp and its backends).
var reasons = []struct {
	words *regexp.Regexp
	hint  string
}{
	{regexp.MustCompile(`unknown (model|projector) (architecture|type)|unknown pre-tokenizer`), "this llama.cpp does not know such models: `rbee engine install` brings the newest one"},
	{regexp.MustCompile(`(?i)out of memory|insufficient memory|failed to allocate|unable to allocate|cudaMalloc failed`), "give it less to hold: --context-length or --parallel, or take a smaller model"},
	{
		regexp.MustCompile(`Failed to load CLIP model|failed to load multimodal model`),
		"the projector beside the model, by which it takes images, is damaged or another model's: `--flag no-mmproj` runs the model without",
	},
	{
		regexp.MustCompile(`(?i)gguf_init_\w+: |corrupted|incomplete|not within the file bounds|failed to read|invalid magic|failed to load model from|wrong number of tensors|missing tensor`),
		"the file may be damaged or have come in part: `rbee model delete` it, and download it again",
	},
	{regexp.MustCompile(`error loading model: `), "another file of the model may do, or another llama.cpp: `rbee engine install` brings the newest one"},
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
	if death.Why != "" {
		e := ops.Errorf(ops.CodeUnavailable, "%s: %w", m.path, err)
		return e.WithHint("a slow machine gets longer by RBEE_ENGINE_SILENCE; else `rbee engine install` brings another %s", Name)
	}
	if e := unheard(death.Lines, program); e != nil {
		return e
	}
	if strangers.MatchString(strings.Join(death.Lines, "\n")) {
		return estranged(err)
	}
	for _, r := range reasons {
		if i := slices.IndexFunc(death.Lines, r.words.MatchString); i >= 0 {
			return ops.Errorf(ops.CodeUnavailable, "%s: %s cannot load it: %w", m.path, Name, &rejection{death, death.Lines[i]}).WithHint("%s", r.hint)
		}
	}
	e := ops.Errorf(ops.CodeUnavailable, "%s: %w", m.path, err)
	if strings.HasPrefix(death.Status, "signal 9,") {
		return e.WithHint("the system does that to a program when memory runs out: give it less to hold, by --context-length or --parallel, or take a smaller model")
	}
	return e.WithHint("`rbee engine install` brings another %s, and --engine builtin does without", Name)
}

// What the program says of an argument that it does not know, and of one whose value
// it does not take (its common/arg.cpp).
var (
	unknownFlag = regexp.MustCompile(`^error: invalid argument: (\S+)$`)
	wrongValue  = regexp.MustCompile(`^error while handling argument "(\S+)": (?:error: )?(.*)$`)
)

// unheard is the error of a program that ended for an argument's sake, or nil.
func unheard(lines []string, program string) error {
	for _, line := range lines {
		if m := unknownFlag.FindStringSubmatch(line); m != nil {
			return ops.Errorf(ops.CodeUnsupported, "the %s at %s knows no %s", Name, program, m[1]).WithHint("`rbee engine flags` lists those that one knows")
		}
		if m := wrongValue.FindStringSubmatch(line); m != nil && m[1] == "--device" {
			return ops.Errorf(ops.CodeUnavailable, "the %s at %s finds no such device: %s", Name, program, m[2]).
				WithHint("`rbee hive get` lists the devices of a hive; `rbee engine install --accelerator` brings a build for them, where this is not")
		} else if m != nil {
			return ops.Errorf(ops.CodeUnsupported, "the %s at %s takes no such %s: %s", Name, program, m[1], m[2]).WithHint("`rbee engine flags` says what it takes")
		}
	}
	return nil
}

// rejection is a death that a single line tells all of: the others only tell what
// came of it.
type rejection struct {
	*process.Death
	line string
}

// speaker is what llama.cpp puts before what it says: the time since its start, the
// level and the function.
var speaker = regexp.MustCompile(`^(\d+\.\d\d\.\d{3}\.\d{3} [A-Z] +)?((srv|cmn|slot) +)?\w+: +(error loading model: )?(llama_model_loader: )?`)

// Error is what the line says.
func (r *rejection) Error() string { return speaker.ReplaceAllString(r.line, "") }

// Unwrap returns the death.
func (r *rejection) Unwrap() error { return r.Death }
