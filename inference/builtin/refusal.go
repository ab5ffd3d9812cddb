package builtin

import (
	"rbee.dev/rbee/inference/builtin/kernel"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/template"
	"rbee.dev/rbee/inference/tokenizer"
)

// Refusal is why [Open] would refuse the model in f, whatever else is wanted of it,
// or nil. No weights are read.
func Refusal(f *gguf.File) error {
	p, err := readParams(f)
	if err != nil {
		return err
	}
	vocab, err := tokenizer.Check(f)
	if err != nil {
		return unsupported("%w", err)
	}
	if _, err := template.Parse(chatSource(f), "", ""); err != nil {
		return unsupported("%w", err)
	}
	l := loader{model: &model{params: p, file: f, kernels: kernel.New(), vocab: vocab}, used: map[string]bool{}, looks: true}
	return l.load()
}
