package builtin

import (
	"fmt"

	"rbee.dev/rbee/inference/builtin/kernel"
	"rbee.dev/rbee/inference/gguf"
)

// model is a loaded model: its shape, and its weights where they lie in the
// mapped file.
type model struct {
	params
	file    *gguf.File
	kernels *kernel.Kernels
	vocab   int

	embedding  kernel.Matrix
	layerList  []layer
	outputNorm []float32
	output     kernel.Matrix
	// ropeFactors divides the frequency of each pair (llama 3); nil is all 1.
	ropeFactors []float32
}

// layer is one block's weights. Vectors that the architecture does not have
// are nil.
type layer struct {
	attnNorm, ffnNorm   []float32
	q, k, v, attnOut    kernel.Matrix
	qBias, kBias, vBias []float32
	qNorm, kNorm        []float32
	gate, up, down      kernel.Matrix
}

// loadModel finds and checks every tensor. Weights stay in the file; only norms
// and biases, which are small, are turned to float32.
func loadModel(f *gguf.File, k *kernel.Kernels, vocab int) (*model, error) {
	p, err := readParams(f)
	if err != nil {
		return nil, err
	}
	m := &model{params: p, file: f, kernels: k, vocab: vocab}
	l := loader{model: m, used: map[string]bool{}}
	return m, l.load()
}

// load fills the model in.
func (l *loader) load() error {
	m, p := l.model, l.model.params
	m.embedding = l.matrix("token_embd.weight", m.vocab, p.width)
	m.outputNorm = l.vector("output_norm.weight", p.width)
	m.output = m.embedding
	if _, ok := m.file.Tensor("output.weight"); ok {
		m.output = l.matrix("output.weight", m.vocab, p.width)
	}
	if _, ok := m.file.Tensor("rope_freqs.weight"); ok {
		m.ropeFactors = l.vector("rope_freqs.weight", p.ropeDims/2)
	}
	for i := range p.layers {
		m.layerList = append(m.layerList, l.layer(fmt.Sprintf("blk.%d.", i)))
		if l.err != nil {
			return l.err
		}
	}
	return l.unknown()
}

func (l *loader) layer(at string) layer {
	p := l.model.params
	wide, kv := p.heads*p.headDim, p.kvHeads*p.headDim
	b := layer{
		attnNorm: l.vector(at+"attn_norm.weight", p.width), ffnNorm: l.vector(at+"ffn_norm.weight", p.width),
		q: l.matrix(at+"attn_q.weight", wide, p.width),
		k: l.matrix(at+"attn_k.weight", kv, p.width), v: l.matrix(at+"attn_v.weight", kv, p.width),
		attnOut: l.matrix(at+"attn_output.weight", p.width, wide),
		gate:    l.matrix(at+"ffn_gate.weight", p.ffn, p.width), up: l.matrix(at+"ffn_up.weight", p.ffn, p.width),
		down: l.matrix(at+"ffn_down.weight", p.width, p.ffn),
	}
	if p.bias {
		b.qBias, b.kBias, b.vBias = l.vector(at+"attn_q.bias", wide), l.vector(at+"attn_k.bias", kv), l.vector(at+"attn_v.bias", kv)
	}
	if p.headNorm {
		b.qNorm, b.kNorm = l.vector(at+"attn_q_norm.weight", p.headDim), l.vector(at+"attn_k_norm.weight", p.headDim)
	}
	return b
}

// loader takes tensors out of the file and remembers the first error.
type loader struct {
	model *model
	used  map[string]bool
	looks bool // at what there is, and reads no weights
	err   error
}

// unknown refuses a file with tensors that were not asked for: what they would
// add to the answers is not known here. llama.cpp refuses them too.
func (l *loader) unknown() error {
	for _, t := range l.model.file.Tensors() {
		if !l.used[t.Name] && l.err == nil {
			l.err = unsupported("its tensor %s is not one of the %s models known here", t.Name, l.model.arch)
		}
	}
	return l.err
}

// tensor finds a tensor of the wanted shape.
func (l *loader) tensor(name string, rows, cols int) (gguf.Tensor, bool) {
	if l.err != nil {
		return gguf.Tensor{}, false
	}
	l.used[name] = true
	t, ok := l.model.file.Tensor(name)
	if !ok {
		l.err = unsupported("it has no tensor %s", name)
		return t, false
	}
	shape := append(append([]uint64(nil), t.Shape...), 1)
	if len(t.Shape) > 2 || shape[0] != uint64(cols) || shape[1] != uint64(rows) { //nolint:gosec // both are positive
		l.err = unsupported("tensor %s is %v, not %d × %d", name, t.Shape, cols, rows)
		return t, false
	}
	if !l.model.kernels.Supports(t.Type) {
		l.err = unsupported("tensor %s is of type %s", name, t.Type)
		return t, false
	}
	return t, true
}

func (l *loader) matrix(name string, rows, cols int) kernel.Matrix {
	t, ok := l.tensor(name, rows, cols)
	if !ok || l.looks {
		return kernel.Matrix{}
	}
	m, err := l.model.kernels.Matrix(t.Type, rows, cols, l.model.file.Data(t))
	if err != nil {
		l.err = unsupported("tensor %s: %w", name, err)
	}
	return m
}

func (l *loader) vector(name string, n int) []float32 {
	t, ok := l.tensor(name, 1, n)
	if !ok || l.looks {
		return nil
	}
	m, err := l.model.kernels.Matrix(t.Type, 1, n, l.model.file.Data(t))
	if err != nil {
		l.err = unsupported("tensor %s: %w", name, err)
		return nil
	}
	v := make([]float32, n)
	m.Row(v, 0)
	return v
}
