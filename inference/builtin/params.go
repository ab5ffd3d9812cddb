package builtin

import (
	"fmt"
	"math"

	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/ops"
)

// params is a model's shape, from the file's metadata.
type params struct {
	arch     string
	layers   int
	width    int // of a token's vector
	heads    int
	kvHeads  int // heads of keys and values; queries share them
	headDim  int
	ffn      int // width inside the feed-forward layer
	context  int // tokens the model was made for
	ropeDims int // of each head, how many are rotated
	ropeBase float32
	// ropeScale divides positions (linear scaling); 1 leaves them.
	ropeScale float32
	eps       float32
	neox      bool // RoPE pairs value i with i+dims/2, not with its neighbour
	bias      bool // queries, keys and values have biases
	headNorm  bool // queries and keys are normalised head by head
}

// architectures is what can be run, and how they differ.
var architectures = map[string]params{
	"llama": {},
	"qwen2": {neox: true, bias: true},
	"qwen3": {neox: true, headNorm: true},
}

// unsupported is the error for a model that this engine cannot run.
func unsupported(format string, args ...any) error {
	return ops.Errorf(ops.CodeUnsupported, "the builtin engine cannot run this model: "+format, args...)
}

func readParams(f *gguf.File) (params, error) {
	arch := f.Architecture()
	p, ok := architectures[arch]
	if arch == "" {
		return p, unsupported("the file does not say what architecture it is of")
	}
	if !ok {
		return p, unsupported("its architecture is %q (llama, qwen2 and qwen3 are known)", arch)
	}
	p.arch = arch
	r := reader{file: f, prefix: arch + "."}
	p.layers, p.width = r.count("block_count", 1024), r.count("embedding_length", 1<<17)
	p.heads = r.count("attention.head_count", 1024)
	p.kvHeads = r.countOr("attention.head_count_kv", p.heads)
	p.ffn, p.context = r.count("feed_forward_length", 1<<20), r.count("context_length", 1<<26)
	p.headDim = r.countOr("attention.key_length", p.width/max(1, p.heads))
	values := r.countOr("attention.value_length", p.headDim)
	p.ropeDims = r.countOr("rope.dimension_count", p.headDim)
	p.eps = r.float("attention.layer_norm_rms_epsilon", 1e-5)
	p.ropeBase = r.float("rope.freq_base", 10000)
	p.ropeScale = 1
	if kind, ok := f.String(r.prefix + "rope.scaling.type"); ok && kind != "none" {
		if kind != "linear" {
			return p, unsupported("its RoPE scaling is %q (only linear is known)", kind)
		}
		p.ropeScale = r.float("rope.scaling.factor", 1)
	}
	if r.err != nil {
		return p, r.err
	}
	if values != p.headDim {
		return p, unsupported("keys of %d and values of %d values", p.headDim, values)
	}
	if n, ok := f.Uint(r.prefix + "expert_count"); ok && n > 0 {
		return p, unsupported("it is a mixture of %d experts", n)
	}
	return p, p.check()
}

func (p params) check() error {
	switch {
	case p.heads%p.kvHeads != 0:
		return unsupported("%d heads cannot share %d key heads", p.heads, p.kvHeads)
	case p.headDim < 2 || p.headDim > 1024 || p.headDim%2 != 0:
		return unsupported("heads of %d values", p.headDim)
	case p.ropeDims > p.headDim || p.ropeDims%2 != 0:
		return unsupported("RoPE over %d of %d values", p.ropeDims, p.headDim)
	case !(p.ropeScale > 0 && p.ropeScale <= math.MaxFloat32) || !(p.ropeBase > 0 && p.ropeBase <= math.MaxFloat32) || !(p.eps >= 0 && p.eps <= math.MaxFloat32):
		return unsupported("its RoPE or norm constants are no positive numbers")
	}
	return nil
}

// reader reads numbers of the architecture's and remembers the first error.
type reader struct {
	file   *gguf.File
	prefix string
	err    error
}

// count reads a number from 1 to most.
func (r *reader) count(key string, most int) int {
	v, ok := r.file.Uint(r.prefix + key)
	if !ok {
		r.fail(fmt.Sprintf("%s%s is missing", r.prefix, key))
		return 1
	}
	if v < 1 || v > uint64(most) { //nolint:gosec // positive
		r.fail(fmt.Sprintf("%s%s is %d, not between 1 and %d", r.prefix, key, v, most))
		return 1
	}
	return int(v) //nolint:gosec // checked just above
}

func (r *reader) countOr(key string, fallback int) int {
	if _, ok := r.file.Uint(r.prefix + key); !ok {
		return max(1, fallback)
	}
	return r.count(key, 1<<20)
}

func (r *reader) float(key string, fallback float32) float32 {
	if v, ok := r.file.Float(r.prefix + key); ok {
		return float32(v)
	}
	return fallback
}

func (r *reader) fail(why string) {
	if r.err == nil {
		r.err = unsupported("%s", why)
	}
}
