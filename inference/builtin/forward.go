package builtin

// place is one token of a step: which one, where, and what is wanted of it.
type place struct {
	token    int32
	position int
	cache    *cache
	// logits is whether the scores of what comes next are wanted.
	logits bool
	// sum, if there is one, gets the token's last vector added.
	sum []float32
}

// runner computes steps of one model. It is used by one goroutine; its buffers
// are used again at each step.
type runner struct {
	m    *model
	pool *pool

	batch                                         []place
	x, norm, q, k, v, att, proj, gate, up, logits []float32
	angles                                        []angles
	scores                                        [][]float32

	forms    preparer
	products products
	turns    turns
	heads    heads
	gates    gates
}

func newRunner(m *model, p *pool) *runner {
	r := &runner{m: m, pool: p, forms: newPreparer(m.kernels)}
	r.turns.r, r.heads.r, r.gates.r = r, r, r
	r.heads.scores = make([][]float32, p.threads)
	return r
}

// step computes a batch of tokens and returns the scores of those that want
// them, in order. The tokens of one cache must come in the order of their
// positions. What it returns is good until the next step. It looks at abandoned
// before each layer, and returns false when nobody wants the step any more.
func (r *runner) step(batch []place, abandoned func() bool) ([][]float32, bool) {
	m := r.m
	r.batch = batch
	r.reserve(len(batch))
	for i, p := range batch {
		m.embedding.Row(r.x[i*m.width:], int(p.token))
		r.angles[i].set(m, p.position)
	}
	for i := range m.layerList {
		if abandoned() {
			return nil, false
		}
		r.attention(i)
		r.feedForward(i)
	}
	return r.score(), true
}

func (r *runner) reserve(n int) {
	m := r.m
	wide, kv := m.heads*m.headDim, m.kvHeads*m.headDim
	r.x, r.norm, r.proj = sized(r.x, n*m.width), sized(r.norm, n*m.width), sized(r.proj, n*m.width)
	r.q, r.att = sized(r.q, n*wide), sized(r.att, n*wide)
	r.k, r.v = sized(r.k, n*kv), sized(r.v, n*kv)
	r.gate, r.up = sized(r.gate, n*m.ffn), sized(r.up, n*m.ffn)
	for len(r.angles) < n {
		r.angles = append(r.angles, angles{})
	}
}

// sized returns s with n values, and a new slice where they do not fit.
func sized(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}

// normalize writes each token's vector, normalised, to norm.
func (r *runner) normalize(weight []float32) {
	for i := range r.batch {
		r.normalizeOne(r.norm, i, i, weight)
	}
}

func (r *runner) normalizeOne(dst []float32, to, from int, weight []float32) {
	w := r.m.width
	r.m.kernels.Normalize(dst[to*w:(to+1)*w], r.x[from*w:(from+1)*w], weight, r.m.eps)
}

func (r *runner) addProjection() {
	for i, f := range r.proj {
		r.x[i] += f
	}
}

// score computes the scores of the tokens that want them, and adds up the last
// vectors of those whose sums are wanted.
func (r *runner) score() [][]float32 {
	m, n := r.m, 0
	for i, p := range r.batch {
		if p.sum != nil {
			r.normalizeOne(r.proj, 0, i, m.outputNorm)
			for j, f := range r.proj[:m.width] {
				p.sum[j] += f
			}
		}
		if p.logits {
			r.normalizeOne(r.norm, n, i, m.outputNorm)
			n++
		}
	}
	r.scores = r.scores[:0]
	if n == 0 {
		return nil
	}
	r.logits = sized(r.logits, n*m.vocab)
	r.multiply(r.norm[:n*m.width], n, product{w: m.output, out: r.logits})
	for i := range n {
		r.scores = append(r.scores, r.logits[i*m.vocab:(i+1)*m.vocab])
	}
	return r.scores
}
