package fit

import (
	"math/bits"

	"rbee.dev/rbee/inference/gguf"
)

// Run is how a model is to be run.
type Run struct {
	// Context is how many tokens a request may hold.
	Context int
	// Parallel is how many requests run at once.
	Parallel int
	// Keys and Values are how the cache stores them: by their type of tensor.
	Keys, Values gguf.Type
	// Batch is how many tokens are computed in one step.
	Batch int
	// Program is what the engine takes whatever the model is, in bytes.
	Program uint64
	// Whole says that the engine keeps a layer's keys and values whole where the
	// layer looks back a window only.
	Whole bool
	// Scores says that the engine keeps each token's scores for all that it looks
	// back at, for want of flash attention.
	Scores bool
	// Sees says that the engine loads the model's projector, where it has one.
	Sees bool
}

// Need is how much memory a model takes, in bytes.
type Need struct {
	Weights uint64 // of the model's files, and its projector's
	Cache   uint64 // keys and values
	Compute uint64 // what a step holds at once
	Program uint64 // the engine itself
}

// Total is all of it.
func (n Need) Total() uint64 { return plus(n.Weights, n.Cache, n.Compute, n.Program) }

// Need estimates what the model takes, run as r says.
func (m Model) Need(r Run) Need {
	n := Need{Weights: m.here(m.Weights), Cache: m.here(m.cache(r)), Compute: m.compute(r), Program: r.Program}
	if p := m.Projector; p != nil && r.Sees {
		n.Weights, n.Compute = plus(n.Weights, p.Weights), plus(n.Compute, p.compute(r))
	}
	return n
}

// here is what is on this machine of so many bytes of all layers.
func (m Model) here(bytes uint64) uint64 {
	if m.Share <= 0 || m.Share >= 1 {
		return bytes
	}
	return uint64(m.Share * float64(bytes))
}

// cells is to how many tokens llama.cpp rounds a context up.
const cells = 256

func padded(tokens uint64) uint64 { return (tokens + cells - 1) / cells * cells }

// cache is the bytes of keys and values of all requests.
func (m Model) cache(r Run) uint64 {
	var all uint64
	for _, l := range m.layers {
		tokens := padded(uint64(max(0, r.Context))) //nolint:gosec // not negative
		if l.window > 0 && !r.Whole {
			tokens = min(tokens, padded(l.window+uint64(max(0, r.Batch)))) //nolint:gosec // not negative
		}
		one := times(tokens, plus(size(r.Keys, l.keys), size(r.Values, l.values)))
		all = plus(all, times(plus(one, l.state), uint64(max(0, r.Parallel)))) //nolint:gosec // not negative
	}
	return all
}

// compute is the bytes of what a step holds at once, at its widest: the scores
// of all tokens, the feed-forward layer, or the attention; and which token sees
// which.
func (m Model) compute(r Run) uint64 {
	const float = 4
	batch := uint64(max(0, r.Batch)) //nolint:gosec // not negative
	if m.Vector {
		batch = max(batch, uint64(max(0, r.Context))) //nolint:gosec // not negative
	}
	widest := max(
		plus(m.vocabulary, m.width),
		plus(times(3, m.inner), times(2, m.width)),
		plus(times(3, m.queries), times(2, m.width)),
	)
	seen := times(padded(uint64(max(0, r.Context))), batch) //nolint:gosec // not negative
	all := plus(times(widest, batch, float), times(seen, float/2), threads)
	if r.Scores {
		all = plus(all, times(seen, m.heads+1, float))
	}
	return all
}

// threads is what the threads that compute keep beside, in bytes.
const threads = 4 << 20

// size is how many bytes so many values take.
func size(t gguf.Type, values uint64) uint64 {
	each, bytes, ok := t.Block()
	if !ok {
		each, bytes = 1, 4
	}
	return times((values+each-1)/each, bytes)
}

const most = ^uint64(0)

// plus adds up, and stays at the largest number.
func plus(list ...uint64) uint64 {
	var sum, carry uint64
	for _, n := range list {
		if sum, carry = bits.Add64(sum, n, 0); carry != 0 {
			return most
		}
	}
	return sum
}

// times multiplies, and stays at the largest number.
func times(list ...uint64) uint64 {
	product := uint64(1)
	for _, n := range list {
		hi, lo := bits.Mul64(product, n)
		if hi != 0 {
			return most
		}
		product = lo
	}
	return product
}
