package builtin

import (
	"rbee.dev/rbee/inference/builtin/kernel"
	"rbee.dev/rbee/inference/gguf"
)

// product is out = w·x for the vectors that were prepared in acts.
type product struct {
	w    kernel.Matrix
	out  []float32 // w.Rows values for each vector
	acts *kernel.Activations
}

// rows computes some rows for all vectors.
func (p product) rows(lo, hi int) { p.w.MulRange(p.acts, p.out, p.w.Rows, lo, hi) }

// products is several products as one piece of work, whose indices go through
// the rows of the first matrix, then of the second, and so on.
type products struct{ list []product }

func (w *products) do(_, lo, hi int) {
	for _, p := range w.list {
		if lo < p.w.Rows && hi > 0 {
			p.rows(max(lo, 0), min(hi, p.w.Rows))
		}
		lo, hi = lo-p.w.Rows, hi-p.w.Rows
	}
}

// preparer turns vectors into the form that matrices of a type want, once for
// several matrices.
type preparer struct {
	kernels *kernel.Kernels
	acts    map[gguf.Type]*kernel.Activations
	done    []gguf.Type // the types for which the current vectors are prepared
}

func newPreparer(k *kernel.Kernels) preparer {
	return preparer{kernels: k, acts: map[gguf.Type]*kernel.Activations{}}
}

// forget is to be called when the vectors have changed.
func (p *preparer) forget() { p.done = p.done[:0] }

// prepare gives n vectors the form that w wants.
func (p *preparer) prepare(w kernel.Matrix, x []float32, n int) *kernel.Activations {
	a := p.acts[w.Type]
	if a == nil {
		a = &kernel.Activations{}
		p.acts[w.Type] = a
	}
	for _, t := range p.done {
		if t == w.Type {
			return a
		}
	}
	p.kernels.Prepare(a, w.Type, x, n, w.Cols)
	p.done = append(p.done, w.Type)
	return a
}

// multiply computes each product of the list for n vectors, as one piece of
// work; it fills in acts.
func (r *runner) multiply(x []float32, n int, list ...product) {
	r.forms.forget()
	r.products.list = r.products.list[:0]
	rows, cost := 0, 0
	for _, p := range list {
		p.acts = r.forms.prepare(p.w, x, n)
		r.products.list = append(r.products.list, p)
		rows += p.w.Rows
		cost += p.w.Rows * p.w.Cols * n
	}
	r.pool.each(rows, cost, &r.products)
}
