package fit

import (
	"strconv"
	"strings"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/gguf"
)

// Builtin is how the builtin engine runs a model: what is 0 in s gets its
// default.
func (m Model) Builtin(s inference.Spec) Run {
	r := m.run(s)
	r.Keys, r.Values = gguf.F32, gguf.F32
	r.Batch, r.Whole = 128+r.Parallel, true
	// The vocabulary is kept as texts and looked up by them.
	r.Program = 32<<20 + times(m.vocabulary, 200)
	return r
}

// LlamaCpp is how llama.cpp runs a model: what is 0 in s gets its default, and
// of the flags those count that change the memory.
func (m Model) LlamaCpp(s inference.Spec) Run {
	r := m.run(s)
	r.Keys, r.Values = gguf.F16, gguf.F16
	r.Batch, r.Sees = 512, true
	r.Program = 96 << 20
	for _, f := range s.Flags {
		name, value, _ := strings.Cut(strings.TrimLeft(f, "-"), "=")
		switch name {
		case "cache-type-k", "ctk":
			r.Keys = named(value)
		case "cache-type-v", "ctv":
			r.Values = named(value)
		case "ubatch-size", "ub":
			r.Batch = number(value, r.Batch)
		case "no-mmproj", "no-mmproj-auto":
			r.Sees = false
		case "swa-full":
			r.Whole = true
		case "flash-attn", "fa":
			r.Scores = value == "off" || value == "0"
		}
	}
	return r
}

// run is what both have in common.
func (m Model) run(s inference.Spec) Run {
	r := Run{Context: s.ContextLength, Parallel: s.Parallel}
	if r.Parallel <= 0 {
		r.Parallel = inference.DefaultParallel
	}
	if r.Context <= 0 {
		r.Context = inference.DefaultContextLength
		if m.Context > 0 {
			r.Context = min(r.Context, int(m.Context)) //nolint:gosec // bounded
		}
	}
	return r
}

// named is the type called so; one that is not known takes the most that there
// is.
func named(name string) gguf.Type {
	if t, ok := gguf.TypeNamed(name); ok {
		return t
	}
	return gguf.F32
}

func number(text string, fallback int) int {
	if n, err := strconv.Atoi(text); err == nil && n > 0 && n <= maxTokens {
		return n
	}
	return fallback
}
