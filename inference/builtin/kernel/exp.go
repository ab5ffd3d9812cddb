package kernel

import "math"

// exps replaces each x by e^(x-most) and returns their sum.
func exps(x []float32, most float32) float64 {
	var sum float64
	for i, f := range x {
		e := exp(f - most)
		x[i] = e
		sum += float64(e)
	}
	return sum
}

// gate is the portable SiLU(gate) × up.
func gate(gate, up []float32) {
	for i, g := range gate {
		gate[i] = g / (1 + exp(-g)) * up[i]
	}
}

// exp is e^x to float32 precision (relative error below 3e-7), many times as
// fast as math.Exp: 2^n times a polynomial for the rest, |r| ≤ ln2/2.
func exp(x float32) float32 {
	switch {
	case x > 88:
		return float32(math.Inf(1))
	case x < -87.3:
		return 0
	}
	whole := roundEven(x * math.Log2E)
	n := float32(whole)
	r := x - n*0.693145751953125 - n*1.42860682030941723212e-6 // ln 2 in two parts
	p := float32(1.0 / 5040)
	p = p*r + 1.0/720
	p = p*r + 1.0/120
	p = p*r + 1.0/24
	p = p*r + 1.0/6
	p = p*r + 0.5
	p = p*r + 1
	p = p*r + 1
	return p * math.Float32frombits(uint32(whole+127)<<23) //nolint:gosec // -126 to 127
}
