package builtin

import (
	"math"

	"rbee.dev/rbee/inference/builtin/kernel"
	"rbee.dev/rbee/inference/gguf"
)

// place is one token of a step: which one, where, and whether the scores of
// what comes next are wanted.
type place struct {
	token    int32
	position int
	cache    *cache
	logits   bool
}

// runner computes steps of one model. It is used by one goroutine; its buffers
// are used again at each step.
type runner struct {
	m    *model
	pool *pool

	x, norm, q, k, v, att, proj, gate, up, logits []float32
	scores                                        [][]float32 // one buffer for each token and head
	angles                                        []angles
	acts                                          map[gguf.Type]*kernel.Activations
}

func newRunner(m *model, p *pool) *runner {
	return &runner{m: m, pool: p, acts: map[gguf.Type]*kernel.Activations{}}
}

// step computes a batch of tokens and returns the scores of those that want
// them, in order. The tokens of one cache must come in the order of their
// positions. What it returns is good until the next step.
func (r *runner) step(batch []place) [][]float32 {
	m, n := r.m, len(batch)
	r.reserve(n)
	for i, p := range batch {
		m.embedding.Row(r.x[i*m.width:], int(p.token))
		r.angles[i].set(m, p.position)
	}
	for i := range m.layerList {
		r.attention(i, batch)
		r.feedForward(&m.layerList[i], n)
	}
	return r.score(batch)
}

func (r *runner) reserve(n int) {
	m := r.m
	size := func(s []float32, n int) []float32 {
		if cap(s) < n {
			return make([]float32, n)
		}
		return s[:n]
	}
	wide, kv := m.heads*m.headDim, m.kvHeads*m.headDim
	r.x, r.norm, r.proj = size(r.x, n*m.width), size(r.norm, n*m.width), size(r.proj, n*m.width)
	r.q, r.att = size(r.q, n*wide), size(r.att, n*wide)
	r.k, r.v = size(r.k, n*kv), size(r.v, n*kv)
	r.gate, r.up = size(r.gate, n*m.ffn), size(r.up, n*m.ffn)
	for len(r.angles) < n {
		r.angles = append(r.angles, angles{})
	}
	for len(r.scores) < n*m.heads {
		r.scores = append(r.scores, nil)
	}
}

// multiply computes out = w·x for n vectors.
func (r *runner) multiply(w kernel.Matrix, x, out []float32, n int) {
	a := r.acts[w.Type]
	if a == nil {
		a = &kernel.Activations{}
		r.acts[w.Type] = a
	}
	r.m.kernels.Prepare(a, w.Type, x, n, w.Cols)
	r.pool.each(w.Rows, w.Rows*w.Cols*n, func(lo, hi int) { w.MulRange(a, out, w.Rows, lo, hi) })
}

// multiplyEach is multiply for several matrices and one input, which is
// prepared once where they have one type.
func (r *runner) multiplyEach(x []float32, n int, pairs ...product) {
	for i, p := range pairs {
		if i > 0 && p.w.Type == pairs[i-1].w.Type {
			a := r.acts[p.w.Type]
			r.pool.each(p.w.Rows, p.w.Rows*p.w.Cols*n, func(lo, hi int) { p.w.MulRange(a, p.out, p.w.Rows, lo, hi) })
			continue
		}
		r.multiply(p.w, x, p.out, n)
	}
}

type product struct {
	w   kernel.Matrix
	out []float32
}

func (r *runner) normalize(weight []float32, n int) {
	m := r.m
	for i := range n {
		m.kernels.Normalize(r.norm[i*m.width:(i+1)*m.width], r.x[i*m.width:(i+1)*m.width], weight, m.eps)
	}
}

func (r *runner) addProjection() {
	for i, f := range r.proj {
		r.x[i] += f
	}
}

func (r *runner) attention(index int, batch []place) {
	m, n := r.m, len(batch)
	l := &m.layerList[index]
	wide, kv := m.heads*m.headDim, m.kvHeads*m.headDim
	r.normalize(l.attnNorm, n)
	r.multiplyEach(r.norm, n, product{l.q, r.q}, product{l.k, r.k}, product{l.v, r.v})
	for i, p := range batch {
		q, k, v := r.q[i*wide:(i+1)*wide], r.k[i*kv:(i+1)*kv], r.v[i*kv:(i+1)*kv]
		addBias(q, l.qBias)
		addBias(k, l.kBias)
		addBias(v, l.vBias)
		r.normalizeHeads(q, l.qNorm)
		r.normalizeHeads(k, l.kNorm)
		r.angles[i].rotate(q, m.headDim, m.neox)
		r.angles[i].rotate(k, m.headDim, m.neox)
		p.cache.put(m, index, p.position, k, v)
	}
	cost := 0
	for _, p := range batch {
		cost += p.position * wide * 2
	}
	r.pool.each(n*m.heads, cost, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			r.head(index, batch[i/m.heads], i)
		}
	})
	r.multiply(l.attnOut, r.att, r.proj, n)
	r.addProjection()
}

func addBias(x, bias []float32) {
	for i, b := range bias {
		x[i] += b
	}
}

func (r *runner) normalizeHeads(x, weight []float32) {
	if weight == nil {
		return
	}
	for d := r.m.headDim; len(x) > 0; x = x[d:] {
		r.m.kernels.Normalize(x[:d], x[:d], weight, r.m.eps)
	}
}

// head computes the attention of one head of one token: i counts through all
// tokens' heads.
func (r *runner) head(index int, p place, i int) {
	m := r.m
	d := m.headDim
	h := i % m.heads
	at := index*m.kvHeads + h/(m.heads/m.kvHeads)
	keys, values := p.cache.keys[at], p.cache.values[at]
	seen := p.position + 1
	if cap(r.scores[i]) < seen {
		r.scores[i] = make([]float32, seen, max(64, seen+seen/2))
	}
	scores := r.scores[i][:seen]
	q := r.q[i*d : (i+1)*d]
	scale := float32(1 / math.Sqrt(float64(d)))
	for t := range scores {
		scores[t] = m.kernels.Dot(q, keys[t*d:(t+1)*d]) * scale
	}
	m.kernels.Softmax(scores)
	out := r.att[i*d : (i+1)*d]
	clear(out)
	for t, s := range scores {
		m.kernels.AddScaled(out, values[t*d:(t+1)*d], s)
	}
}

func (r *runner) feedForward(l *layer, n int) {
	m := r.m
	r.normalize(l.ffnNorm, n)
	r.multiplyEach(r.norm, n, product{l.gate, r.gate}, product{l.up, r.up})
	r.pool.each(n*m.ffn, n*m.ffn*20, func(lo, hi int) { m.kernels.Gate(r.gate[lo:hi], r.up[lo:hi]) })
	r.multiply(l.down, r.gate, r.proj, n)
	r.addProjection()
}

// score computes the scores of the tokens that want them.
func (r *runner) score(batch []place) [][]float32 {
	m, n := r.m, 0
	for i, p := range batch {
		if p.logits {
			m.kernels.Normalize(r.norm[n*m.width:(n+1)*m.width], r.x[i*m.width:(i+1)*m.width], m.outputNorm, m.eps)
			n++
		}
	}
	if n == 0 {
		return nil
	}
	if cap(r.logits) < n*m.vocab {
		r.logits = make([]float32, n*m.vocab)
	}
	r.multiply(m.output, r.norm[:n*m.width], r.logits[:n*m.vocab], n)
	list := make([][]float32, n)
	for i := range list {
		list[i] = r.logits[i*m.vocab : (i+1)*m.vocab]
	}
	return list
}
