package kernel

import "math"

// Dot is the product of two vectors of one length.
func (k *Kernels) Dot(a, b []float32) float32 { return k.dot(a, b) }

// AddScaled adds s times x to dst.
func (k *Kernels) AddScaled(dst, x []float32, s float32) { k.addScaled(dst, x, s) }

// Normalize writes x divided by its root mean square, times weight, to dst
// (RMSNorm, arXiv:1910.07467). eps keeps a vector of zeros from dividing by
// zero.
func (k *Kernels) Normalize(dst, x, weight []float32, eps float32) {
	var sum float64
	for _, f := range x {
		sum += float64(f) * float64(f)
	}
	scale := 1 / float32(math.Sqrt(sum/float64(len(x))+float64(eps)))
	for i, f := range x {
		dst[i] = f * scale * weight[i]
	}
}

// Softmax turns scores into probabilities, in place.
func (k *Kernels) Softmax(x []float32) {
	most := float32(math.Inf(-1))
	for _, f := range x {
		most = max(most, f)
	}
	scale := float32(1 / k.exps(x, most))
	for i := range x {
		x[i] *= scale
	}
}

// Gate writes SiLU(gate) × up to gate, the activation of a llama's
// feed-forward layer (SwiGLU, arXiv:2002.05202).
func (k *Kernels) Gate(gate, up []float32) { k.gate(gate, up) }
