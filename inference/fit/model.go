package fit

import (
	"rbee.dev/rbee/inference/gguf"
)

// The limits of what is believed of a file, far above real models.
const (
	maxLayers = 1 << 12
	maxWidth  = 1 << 24
	maxTokens = 1 << 26
)

// Model is what decides how much memory a model takes.
type Model struct {
	// Weights is the size of the model's files, in bytes.
	Weights uint64
	// Context is how many tokens the model was made for; 0 is not known.
	Context uint64
	// Vector says that the model makes vectors of texts, which are computed in
	// one piece each.
	Vector bool
	// Projector is what makes it see; nil is none.
	Projector *Projector
	// Share is how much of it is on this machine, where the rest is on others: of its
	// layers, and so of its weights and of what is kept of a text; 0 is all of it.
	Share float64

	architecture string
	layers       []layer
	width        uint64 // of a token's vector
	heads        uint64
	queries      uint64 // of all heads together, in values
	inner        uint64 // width inside the feed-forward layer
	vocabulary   uint64
}

// layer is what one block keeps of the tokens that it has seen.
type layer struct {
	keys, values uint64 // of each token, in values
	window       uint64 // tokens that it looks back; 0 is all
	state        uint64 // bytes for each request, however long: a recurrent layer's
}

// Known says whether the numbers are there that decide: of a file's beginning they
// may not be.
func (m Model) Known() bool { return len(m.layers) > 0 && m.width > 0 && m.vocabulary > 0 }

// Read takes the numbers from a model's file. size is that of all its files, in
// bytes: a split model's metadata is in the first.
func Read(f *gguf.File, size int64) Model {
	r := reader{f, f.Architecture() + "."}
	m := Model{
		Weights: uint64(max(0, size)), //nolint:gosec // not negative
		Context: r.number("context_length", 0, maxTokens), architecture: f.Architecture(),
		width: r.number("embedding_length", 0, maxWidth), inner: r.inner(), vocabulary: r.vocabulary(),
	}
	_, pools := f.Uint(r.prefix + "pooling_type")
	causal, told := f.Bool(r.prefix + "attention.causal")
	m.Vector = pools || told && !causal
	heads := r.list("attention.head_count")
	keys := r.number("attention.key_length", m.width/max(1, heads.at(0)), maxWidth)
	values := r.number("attention.value_length", keys, maxWidth)
	m.heads = heads.most()
	m.queries = min(m.heads*keys, maxWidth)
	if told && !causal { // nothing is kept of a text
		return m
	}
	shared := r.list("attention.head_count_kv")
	if len(shared) == 0 {
		shared = heads
	}
	recurrent := r.recurrent(m.width)
	for i := range int(r.number("block_count", 0, maxLayers)) { //nolint:gosec // bounded
		l := layer{keys: min(shared.at(i)*keys, maxWidth), values: min(shared.at(i)*values, maxWidth), window: r.window(i)}
		if recurrent.at(i, shared) {
			l = layer{state: recurrent.state}
		}
		m.layers = append(m.layers, l)
	}
	return m
}

// reader reads the numbers of an architecture.
type reader struct {
	file   *gguf.File
	prefix string
}

func (r reader) number(key string, fallback, most uint64) uint64 {
	if v, ok := r.file.Uint(r.prefix + key); ok {
		return min(v, most)
	}
	return min(fallback, most)
}

// perLayer is a number for each layer, or one for all.
type perLayer []uint64

func (p perLayer) at(i int) uint64 {
	if len(p) == 0 {
		return 0
	}
	return p[min(i, len(p)-1)]
}

func (p perLayer) most() (most uint64) {
	for _, v := range p {
		most = max(most, v)
	}
	return most
}

// list reads what may be one number or a list of them.
func (r reader) list(key string) perLayer {
	if v, ok := r.file.Uint(r.prefix + key); ok {
		return perLayer{min(v, maxWidth)}
	}
	var list perLayer
	numbers, _ := r.file.Ints(r.prefix + key)
	for _, n := range numbers[:min(len(numbers), maxLayers)] {
		list = append(list, uint64(min(max(0, n), maxWidth))) //nolint:gosec // not negative
	}
	return list
}

// inner is the width of what the feed-forward layer holds at once: of a mixture
// of experts, those that a token uses.
func (r reader) inner() uint64 {
	dense := r.list("feed_forward_length").most()
	expert := r.number("expert_feed_forward_length", dense, maxWidth)
	if used := r.number("expert_used_count", 0, 1<<10); used > 0 {
		shared := r.number("expert_shared_feed_forward_length", 0, maxWidth)
		return min(max(dense, used*expert+shared), maxWidth)
	}
	return dense
}

// vocabulary is how many tokens there are.
func (r reader) vocabulary() uint64 {
	if tokens, ok := r.file.Len("tokenizer.ggml.tokens"); ok {
		return min(uint64(max(0, tokens)), maxWidth) //nolint:gosec // not negative
	}
	return r.number("vocab_size", 0, maxWidth)
}
