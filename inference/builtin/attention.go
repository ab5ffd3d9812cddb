package builtin

import "math"

// attention adds to each token's vector what it takes from the tokens before.
func (r *runner) attention(index int) {
	m, n := r.m, len(r.batch)
	l := &m.layerList[index]
	r.normalize(l.attnNorm)
	r.multiply(r.norm, n, product{w: l.q, out: r.q}, product{w: l.k, out: r.k}, product{w: l.v, out: r.v})
	r.turns.layer, r.heads.layer = index, index
	r.pool.each(n, n*m.heads*m.headDim*8, &r.turns)
	cost := 0
	for _, p := range r.batch {
		cost += p.position * m.heads * m.headDim * 2
	}
	r.pool.each(n*m.heads, cost, &r.heads)
	r.multiply(r.att, n, product{w: l.attnOut, out: r.proj})
	r.addProjection()
}

// turns finishes each token's query, key and value, and caches the latter two.
// Its indices are the tokens.
type turns struct {
	r     *runner
	layer int
}

func (t *turns) do(_, lo, hi int) {
	r, m := t.r, t.r.m
	l := &m.layerList[t.layer]
	wide, kv := m.heads*m.headDim, m.kvHeads*m.headDim
	for i := lo; i < hi; i++ {
		q, k, v := r.q[i*wide:(i+1)*wide], r.k[i*kv:(i+1)*kv], r.v[i*kv:(i+1)*kv]
		addBias(q, l.qBias)
		addBias(k, l.kBias)
		addBias(v, l.vBias)
		r.normalizeHeads(q, l.qNorm)
		r.normalizeHeads(k, l.kNorm)
		r.angles[i].rotate(q, m.headDim, m.neox)
		r.angles[i].rotate(k, m.headDim, m.neox)
		r.batch[i].cache.put(m, t.layer, r.batch[i].position, k, v)
	}
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

// heads is the attention of each head of each token. Its indices count through
// all tokens' heads.
type heads struct {
	r      *runner
	layer  int
	scores [][]float32 // one buffer for each thread
}

func (h *heads) do(thread, lo, hi int) {
	for i := lo; i < hi; i++ {
		h.one(thread, i)
	}
}

func (h *heads) one(thread, i int) {
	r, m := h.r, h.r.m
	d := m.headDim
	p := r.batch[i/m.heads]
	at := h.layer*m.kvHeads + i%m.heads/(m.heads/m.kvHeads)
	keys, values := p.cache.keys[at], p.cache.values[at]
	seen := p.position + 1
	if cap(h.scores[thread]) < seen {
		h.scores[thread] = make([]float32, seen, max(64, seen+seen/2))
	}
	scores := h.scores[thread][:seen]
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
