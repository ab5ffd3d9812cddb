package llamacpp

import (
	"slices"
	"strconv"
	"strings"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/ops"
)

// arguments are the program's, but for where it listens.
func arguments(s inference.Spec, m model) ([]string, error) {
	own, err := flags(s.Flags)
	if err != nil {
		return nil, err
	}
	context, err := contextLength(s, m)
	if err != nil {
		return nil, err
	}
	parallel := s.Parallel
	if parallel <= 0 {
		parallel = inference.DefaultParallel
	}
	args := []string{
		"--model", m.path, "--alias", s.ModelID, "--parallel", strconv.Itoa(parallel),
		"--ctx-size", strconv.Itoa(context * parallel), // of all slots together
	}
	if s.Threads > 0 {
		args = append(args, "--threads", strconv.Itoa(s.Threads))
	}
	if d := device(s.Device); d != "" && s.Parts == nil {
		args = append(args, "--device", d)
	}
	if n := layers(s, m); n > 0 {
		args = append(args, "--gpu-layers", strconv.Itoa(n))
	}
	if m.projector != "" && !slices.Contains(own, "--no-mmproj") {
		args = append(args, "--mmproj", m.projector)
	}
	switch m.pooling {
	case poolNone:
	case poolRank:
		args = append(args, "--reranking")
	default:
		args = append(args, "--embeddings")
	}
	if m.pooling != poolNone { // a text to embed is one batch
		args = append(args, "--batch-size", strconv.Itoa(context), "--ubatch-size", strconv.Itoa(context))
	}
	return append(args, own...), nil // the last of a kind counts
}

// fewest is how many tokens llama.cpp gives a slot at least: it rounds up to as many,
// and dies at its start of fewer than two.
const fewest = 256

// contextLength is how many tokens a slot gets.
func contextLength(s inference.Spec, m model) (int, error) {
	switch {
	case s.ContextLength > 0:
		return max(s.ContextLength, fewest), CheckContext(s, m.context)
	case m.context > 0:
		return min(m.context, inference.DefaultContextLength), nil
	}
	return inference.DefaultContextLength, nil
}

// CheckContext refuses a context that is longer than the one that the model was made
// for, in tokens, unless flags stretch it; 0 is not known.
func CheckContext(s inference.Spec, made int) error {
	stretched := false // beyond what the model was made for
	for _, f := range s.Flags {
		name := strings.TrimLeft(f, "-")
		stretched = stretched || strings.HasPrefix(name, "rope-") || strings.HasPrefix(name, "yarn-")
	}
	if made > 0 && s.ContextLength > made && !stretched {
		return ops.Invalid("context_length", "is %d tokens, and the model was made for %d", s.ContextLength, made)
	}
	return nil
}

// families are the names that llama.cpp's backends give their devices, which
// they count from 0, by the names that rbee has for them.
var families = map[string]string{"cuda": "CUDA", "rocm": "ROCm", "vulkan": "Vulkan", "sycl": "SYCL"}

// device is llama.cpp's name for a device, or for several with commas between.
func device(name string) string {
	names := strings.Split(name, ",")
	for i, n := range names {
		names[i] = deviceName(n)
	}
	return strings.Join(names, ",")
}

// deviceName is llama.cpp's name for a device, as CUDA0 for cuda:0; none keeps
// everything on the CPU, and "" leaves it to the program, which takes the GPUs
// that it can use. A Mac has one, whose name has changed from Metal to MTL0 (pull
// request 18919).
func deviceName(name string) string {
	switch name {
	case "", "auto", "metal", "metal:0":
		return ""
	case "cpu":
		return "none"
	}
	family, number, _ := strings.Cut(name, ":")
	if number == "" {
		number = "0"
	}
	if known, ok := families[strings.ToLower(family)]; ok {
		return known + number
	}
	return name
}
