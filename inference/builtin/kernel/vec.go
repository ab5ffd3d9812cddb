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
	var sum float64
	for i, f := range x {
		e := exp(f - most)
		x[i] = e
		sum += float64(e)
	}
	scale := float32(1 / sum)
	for i := range x {
		x[i] *= scale
	}
}

// Gate writes SiLU(gate) × up to gate, the activation of a llama's
// feed-forward layer (SwiGLU, arXiv:2002.05202).
func (k *Kernels) Gate(gate, up []float32) {
	for i, g := range gate {
		gate[i] = g / (1 + exp(-g)) * up[i]
	}
}

// exp is e^x to float32 precision (relative error below 2e-7), several times as
// fast as math.Exp: 2^n times a polynomial for the rest, |r| ≤ ln2/2.
func exp(x float32) float32 {
	switch {
	case x > 88:
		return float32(math.Inf(1))
	case x < -87.3:
		return 0
	}
	n := float32(math.Round(float64(x * math.Log2E)))
	r := x - n*0.693145751953125 - n*1.42860682030941723212e-6 // ln 2 in two parts
	p := float32(1.0 / 5040)
	p = p*r + 1.0/720
	p = p*r + 1.0/120
	p = p*r + 1.0/24
	p = p*r + 1.0/6
	p = p*r + 0.5
	p = p*r + 1
	p = p*r + 1
	return p * math.Float32frombits(uint32(int32(n)+127)<<23) //nolint:gosec // -126 to 128
}
