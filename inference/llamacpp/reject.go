package llamacpp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"rbee.dev/rbee/inference/process"
	"rbee.dev/rbee/ops"
)

// reasons are what the program says of models that it does not load, the likeliest
// cause first, and what a person can do then. They are llama.cpp's words (src/llama-arch.cpp,
// src/llama-model-loader.cpp, ggml/src/gguf.cpp, its server and its backends).
var reasons = []struct {
	words *regexp.Regexp
	hint  string
	newer bool // a newer program may do, which the hint ends in
	flag  bool // a flag may be the cause
}{
	{words: regexp.MustCompile(`unknown (model|projector) (architecture|type)|unknown pre-tokenizer`), hint: "this llama.cpp does not know such models: ", newer: true},
	{
		words: regexp.MustCompile(`(?i)out of memory|insufficient memory|failed to allocate|unable to allocate|cudaMalloc failed`),
		hint:  "give it less to hold: --context-length or --parallel, or take a smaller model",
	},
	{
		words: regexp.MustCompile(`Failed to load CLIP model|failed to load multimodal model`),
		hint:  "the projector beside the model, by which it takes images, is damaged or another model's: `--flag no-mmproj` runs the model without",
	},
	{
		words: regexp.MustCompile(`failed to initialize chat template|chat template parsing error`),
		hint:  "the chat template in the model's file cannot be read: `--flag chat-template=chatml` takes one in its place that many models know",
	},
	{
		words: regexp.MustCompile(`(?i)gguf_init_\w+: |corrupted|incomplete|not within the file bounds|failed to read|invalid magic|failed to load model from|wrong number of tensors|missing tensor`),
		hint:  "the file may be damaged or have come in part: `rbee model delete` it, and download it again",
	},
	{words: regexp.MustCompile(`error loading model: `), hint: "another file of the model may do, or another llama.cpp: ", newer: true, flag: true},
}

// attempt is a start of the program in vain.
type attempt struct {
	program string
	model   string // its file
	flags   []string
}

// explain says of a program that ended instead of loading a model which model
// that was, and what to do.
func (a attempt) explain(ctx context.Context, err error) error {
	death, ok := errors.AsType[*process.Death](err)
	if !ok {
		return err
	}
	if _, unusable := Ask(ctx, a.program); unusable != nil && ctx.Err() == nil {
		return unusable // whatever it said, that is why
	}
	e := ops.Errorf(ops.CodeUnavailable, "%s: %w", a.model, err)
	if death.Why != "" {
		return e.WithHint("a slow machine gets longer by RBEE_ENGINE_SILENCE; else %s", instead(a.program, "brings another "+Name))
	}
	if e := a.unheard(death.Lines); e != nil {
		return e
	}
	if strangers.MatchString(strings.Join(death.Lines, "\n")) {
		return estranged(err)
	}
	for _, r := range reasons {
		i := slices.IndexFunc(death.Lines, r.words.MatchString)
		if i < 0 {
			continue
		}
		if r.newer {
			r.hint += instead(a.program, "brings the newest one")
		}
		if r.flag {
			r.hint = a.without() + r.hint
		}
		return ops.Errorf(ops.CodeUnavailable, "%s: %s cannot load it: %w", a.model, Name, &rejection{death, death.Lines[i]}).WithHint("%s", r.hint)
	}
	if strings.HasPrefix(death.Status, "signal 9,") {
		return e.WithHint("the system does that to a program when memory runs out: give it less to hold, by --context-length or --parallel, or take a smaller model")
	}
	return e.WithHint("%s%s, and --engine builtin does without", a.without(), instead(a.program, "brings another "+Name))
}

// without is the begin of a hint about a program that was given flags, or "".
func (a attempt) without() string {
	if len(a.flags) == 0 {
		return ""
	}
	return "it was given --flag " + process.Clip(strings.Join(a.flags, " --flag ")) + ": try without; else "
}

// instead is how there is another program in the place of one: what `rbee engine
// install` does, or where it is named what to do about that, since what is installed
// would not be taken.
func instead(program, does string) string {
	if named := os.Getenv(PathEnv); named != "" {
		if found, err := Find(named); err == nil && found == program {
			return namedHint
		}
	}
	return "`rbee engine install` " + does
}

// What the program says of an argument that it does not know, and of one whose value
// it does not take (its common/arg.cpp).
var (
	unknownFlag = regexp.MustCompile(`^error: invalid argument: (\S+)$`)
	wrongValue  = regexp.MustCompile(`^error while handling argument "(\S+)": (?:error: )?(.*)$`)
	noNumber    = regexp.MustCompile(`^sto(i|l|ll|ul|ull|f|d|ld)$`) // the function that read it (std::stoi)
)

// unheard is the error of a program that ended for an argument's sake, or nil.
func (a attempt) unheard(lines []string) error {
	for _, line := range lines {
		if m := unknownFlag.FindStringSubmatch(line); m != nil {
			return ops.Errorf(ops.CodeUnsupported, "the %s at %s knows no %s", Name, a.program, m[1]).WithHint("`rbee engine flags` lists those that one knows")
		}
		if m := wrongValue.FindStringSubmatch(line); m != nil && m[1] == "--device" {
			return ops.Errorf(ops.CodeUnavailable, "the %s at %s finds no such device: %s", Name, a.program, m[2]).
				WithHint("`rbee hive get` lists the devices of a hive; `rbee engine install --accelerator` brings a build for them, where this is not")
		} else if m != nil {
			return ops.Errorf(ops.CodeUnsupported, "the %s at %s takes no such %s: %s", Name, a.program, m[1], a.wrong(m[1], m[2])).WithHint("`rbee engine flags` says what it takes")
		}
	}
	return nil
}

// wrong is what is wrong with the value of an argument: what the program says of it,
// with the value where that has not got it.
func (a attempt) wrong(name, says string) string {
	value := ""
	args, _ := flags(a.flags) // they were taken
	for i, arg := range args[:max(0, len(args)-1)] {
		if arg == name {
			value = args[i+1]
		}
	}
	switch {
	case value == "" || strings.Contains(says, value):
		return says
	case noNumber.MatchString(says):
		return fmt.Sprintf("%q is no number, or too large", process.Clip(value))
	}
	return fmt.Sprintf("%s %q", says, process.Clip(value))
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
