package builtin

// feedForward adds to each token's vector what the layer knows of it.
func (r *runner) feedForward(index int) {
	m, n := r.m, len(r.batch)
	l := &m.layerList[index]
	r.normalize(l.ffnNorm)
	r.forms.forget()
	r.gates.gate = product{l.gate, r.gate, r.forms.prepare(l.gate, r.norm, n)}
	r.gates.up = product{l.up, r.up, r.forms.prepare(l.up, r.norm, n)}
	r.pool.each(m.ffn, 2*n*m.ffn*m.width, &r.gates)
	r.multiply(r.gate, n, product{w: l.down, out: r.proj})
	r.addProjection()
}

// gates computes the inside of the feed-forward layer. Its indices are the rows
// of both matrices; a thread that has computed some of them gates them itself.
type gates struct {
	r        *runner
	gate, up product
}

func (g *gates) do(_, lo, hi int) {
	g.gate.rows(lo, hi)
	g.up.rows(lo, hi)
	ffn := g.r.m.ffn
	for i := range g.r.batch {
		g.r.m.kernels.Gate(g.gate.out[i*ffn+lo:i*ffn+hi], g.up.out[i*ffn+lo:i*ffn+hi])
	}
}
