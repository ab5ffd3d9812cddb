package builtin

import (
	"rbee.dev/rbee/inference/builtin/kernel"
	"rbee.dev/rbee/inference/gguf"
)

// Refusal is why the engine cannot run the model in f, as far as its shape and the
// list of its tensors tell, or nil. No weights are read, and neither the tokenizer nor
// the chat template, which [Open] checks too.
func Refusal(f *gguf.File) error {
	p, err := readParams(f)
	if err != nil {
		return err
	}
	vocab := 0
	if t, ok := f.Tensor("token_embd.weight"); ok && len(t.Shape) == 2 {
		vocab = int(min(t.Shape[1], 1<<30)) //nolint:gosec // bounded
	}
	l := loader{model: &model{params: p, file: f, kernels: kernel.New(), vocab: vocab}, used: map[string]bool{}, looks: true}
	return l.load()
}
