package gguftest

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"rbee.dev/rbee/inference/gguf"
)

// Model is the shape of a model with random weights. Zero values get small
// defaults that every tensor type can hold.
type Model struct {
	Architecture string    // llama, qwen2 or qwen3; default llama
	Type         gguf.Type // of the matrices; norms and biases are F32
	Layers       int       // default 2
	Width        int       // default 256
	Heads        int       // default 4
	KVHeads      int       // default 2
	FFN          int       // default 512
	Context      int       // default 512
	Seed         uint64
	// Vocabulary is a file to take the tokenizer from; nil makes a byte-level
	// BPE one with the pre-tokenizer Pre.
	Vocabulary *gguf.File
	Pre        string // default gpt-2
}

func (m *Model) setDefaults() {
	or := func(v *int, fallback int) {
		if *v == 0 {
			*v = fallback
		}
	}
	if m.Architecture == "" {
		m.Architecture = "llama"
	}
	if m.Pre == "" {
		m.Pre = "gpt-2"
	}
	or(&m.Layers, 2)
	or(&m.Width, 256)
	or(&m.Heads, 4)
	or(&m.KVHeads, 2)
	or(&m.FFN, 512)
	or(&m.Context, 512)
}

// Bytes is the model's file.
func (m Model) Bytes() []byte {
	m.setDefaults()
	w := writer{m: m, r: rand.New(rand.NewPCG(m.Seed, 7))}
	w.header()
	vocab := w.vocabulary()
	w.weights(vocab)
	return w.b.Bytes()
}

type writer struct {
	m Model
	b Builder
	r *rand.Rand
}

func (w *writer) header() {
	m, a := w.m, w.m.Architecture+"."
	w.b.Set("general.architecture", m.Architecture)
	w.b.Set("general.name", "random")
	for _, e := range []struct {
		key string
		v   int
	}{
		{"block_count", m.Layers},
		{"embedding_length", m.Width},
		{"feed_forward_length", m.FFN},
		{"context_length", m.Context},
		{"attention.head_count", m.Heads},
		{"attention.head_count_kv", m.KVHeads},
	} {
		w.b.Set(a+e.key, uint32(e.v)) //nolint:gosec // small
	}
	w.b.Set(a+"attention.layer_norm_rms_epsilon", float32(1e-5))
	w.b.Set(a+"rope.freq_base", float32(10000))
	if m.Architecture == "qwen3" {
		w.b.Set(a+"attention.key_length", uint32(m.Width/m.Heads))   //nolint:gosec // small
		w.b.Set(a+"attention.value_length", uint32(m.Width/m.Heads)) //nolint:gosec // small
	}
}

// vocabulary writes the tokenizer and returns its size.
func (w *writer) vocabulary() int {
	if w.m.Vocabulary != nil {
		return w.copyVocabulary(w.m.Vocabulary)
	}
	tokens, merges := bytePairs()
	types := make([]int32, len(tokens))
	for i := range types {
		types[i] = 1
	}
	tokens, types = append(tokens, "<|endoftext|>"), append(types, 3)
	w.b.Set("tokenizer.ggml.model", "gpt2")
	w.b.Set("tokenizer.ggml.pre", w.m.Pre)
	w.b.Set("tokenizer.ggml.tokens", tokens)
	w.b.Set("tokenizer.ggml.token_type", types)
	w.b.Set("tokenizer.ggml.merges", merges)
	w.b.Set("tokenizer.ggml.eos_token_id", uint32(len(tokens)-1)) //nolint:gosec // small
	w.b.Set("tokenizer.ggml.bos_token_id", uint32(len(tokens)-1)) //nolint:gosec // small
	w.b.Set("tokenizer.ggml.add_bos_token", false)
	return len(tokens)
}

func (w *writer) copyVocabulary(f *gguf.File) int {
	tokens, _ := f.Strings("tokenizer.ggml.tokens")
	w.b.Set("tokenizer.ggml.tokens", tokens)
	for _, key := range f.Keys() {
		if !strings.HasPrefix(key, "tokenizer.ggml.") || key == "tokenizer.ggml.tokens" {
			continue
		}
		if v, ok := f.String(key); ok {
			w.b.Set(key, v)
		} else if v, ok := f.Strings(key); ok {
			w.b.Set(key, v)
		} else if v, ok := f.Bool(key); ok {
			w.b.Set(key, v)
		} else if v, ok := f.Uint(key); ok {
			w.b.Set(key, uint32(v)) //nolint:gosec // token ids
		} else if v, ok := f.Ints(key); ok {
			w.b.Set(key, v)
		} else if v, ok := f.Floats(key); ok {
			w.b.Set(key, v)
		}
	}
	if template, ok := f.String("tokenizer.chat_template"); ok {
		w.b.Set("tokenizer.chat_template", template)
	}
	return len(tokens)
}

// bytePairs is a byte-level vocabulary with a few hundred merges of letters.
func bytePairs() (tokens, merges []string) {
	next := rune(256)
	for c := range rune(256) {
		if c >= '!' && c <= '~' || c >= '¡' && c <= '¬' || c >= '®' && c <= 'ÿ' {
			tokens = append(tokens, string(c))
			continue
		}
		tokens = append(tokens, string(next))
		next++
	}
	known := map[string]bool{}
	add := func(left, right string) {
		if known[left+right] {
			return
		}
		known[left+right] = true
		merges = append(merges, left+" "+right)
		tokens = append(tokens, left+right)
	}
	for _, pair := range strings.Fields("th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi ri ro ic ne ea ra ce") {
		add(pair[:1], pair[1:])
		add("Ġ", pair[:1])
		add("Ġ"+pair[:1], pair[1:])
	}
	return tokens, merges
}

func (w *writer) weights(vocab int) {
	m := w.m
	head := m.Width / m.Heads
	w.matrix("token_embd.weight", vocab, m.Width)
	w.vector("output_norm.weight", m.Width, 1)
	w.matrix("output.weight", vocab, m.Width)
	for i := range m.Layers {
		at := fmt.Sprintf("blk.%d.", i)
		w.vector(at+"attn_norm.weight", m.Width, 1)
		w.vector(at+"ffn_norm.weight", m.Width, 1)
		w.matrix(at+"attn_q.weight", m.Width, m.Width)
		w.matrix(at+"attn_k.weight", m.KVHeads*head, m.Width)
		w.matrix(at+"attn_v.weight", m.KVHeads*head, m.Width)
		w.matrix(at+"attn_output.weight", m.Width, m.Width)
		w.matrix(at+"ffn_gate.weight", m.FFN, m.Width)
		w.matrix(at+"ffn_up.weight", m.FFN, m.Width)
		w.matrix(at+"ffn_down.weight", m.Width, m.FFN)
		switch m.Architecture {
		case "qwen2":
			w.vector(at+"attn_q.bias", m.Width, 0)
			w.vector(at+"attn_k.bias", m.KVHeads*head, 0)
			w.vector(at+"attn_v.bias", m.KVHeads*head, 0)
		case "qwen3":
			w.vector(at+"attn_q_norm.weight", head, 1)
			w.vector(at+"attn_k_norm.weight", head, 1)
		}
	}
}

// vector adds values around a middle.
func (w *writer) vector(name string, n int, middle float32) {
	values := make([]float32, n)
	for i := range values {
		values[i] = middle + float32(w.r.NormFloat64())*0.2
	}
	w.b.AddF32(name, values, uint64(n)) //nolint:gosec // positive
}

// matrix adds random weights of the model's type, of about such a size that
// what goes through them keeps its own.
func (w *writer) matrix(name string, rows, cols int) {
	size := 2 / math.Sqrt(float64(cols))
	w.b.Add(name, w.m.Type, RandomRows(w.r, w.m.Type, rows, cols, size), uint64(cols), uint64(rows)) //nolint:gosec // positive
}

// RandomRows is rows × cols values of a type, most of them smaller than size.
func RandomRows(r *rand.Rand, t gguf.Type, rows, cols int, size float64) []byte {
	values, bytes, ok := t.Block()
	if !ok {
		panic("gguftest: unknown type " + t.String())
	}
	data := make([]byte, rows*cols/int(values)*int(bytes)) //nolint:gosec // small
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	for at := 0; at < len(data); at += int(bytes) { //nolint:gosec // small
		scale(r, t, data[at:at+int(bytes)], size) //nolint:gosec // small
	}
	return data
}

// scale sets the scales of one block of random bytes; of the float types, the
// value.
func scale(r *rand.Rand, t gguf.Type, block []byte, size float64) {
	le := binary.LittleEndian
	near := func(f float64) float64 { return f * (0.75 + r.Float64()/2) }
	switch t {
	case gguf.F32:
		le.PutUint32(block, math.Float32bits(float32(r.NormFloat64()*size/2)))
	case gguf.F16:
		le.PutUint16(block, half(r.NormFloat64()*size/2))
	case gguf.BF16:
		le.PutUint16(block, uint16(math.Float32bits(float32(r.NormFloat64()*size/2))>>16)) //nolint:gosec // the upper half
	case gguf.Q8_0:
		le.PutUint16(block, half(near(size/127)))
	case gguf.Q4_0:
		le.PutUint16(block, half(near(size/8)))
	case gguf.Q4_K, gguf.Q5_K: // values 0 to 15 or 31, scales and minima 0 to 63
		top := 15.0
		if t == gguf.Q5_K {
			top = 31
		}
		d := near(size / (63 * top) * 2)
		le.PutUint16(block, half(d))
		le.PutUint16(block[2:], half(d*top/2))
	case gguf.Q6_K:
		le.PutUint16(block[208:], half(near(size/(127*32))))
	default:
		panic("gguftest: no random values of type " + t.String())
	}
}

// half rounds a small number towards zero to half precision; nothing here needs
// better.
func half(f float64) uint16 {
	b := math.Float32bits(float32(f))
	exponent := int(b>>23&0xff) - 127 + 15
	if exponent <= 0 {
		return uint16(b >> 16 & 0x8000) //nolint:gosec // one bit
	}
	return uint16(b>>16&0x8000) | uint16(exponent)<<10 | uint16(b>>13&0x3ff) //nolint:gosec // ten bits
}
