package builtin

import "math"

// angles are the sines and cosines by which a position rotates queries and
// keys (RoPE, arXiv:2104.09864), one for each pair of values.
type angles struct {
	cos, sin []float32
}

// set computes the angles of a position. The frequencies are made by repeated
// multiplication in float32, as llama.cpp does, so that they agree far out too.
func (a *angles) set(m *model, position int) {
	pairs := m.ropeDims / 2
	if a.cos == nil {
		a.cos, a.sin = make([]float32, pairs), make([]float32, pairs)
	}
	step := float32(math.Pow(float64(m.ropeBase), -2/float64(m.ropeDims)))
	theta := float32(position)
	for i := range pairs {
		t := theta
		if m.ropeFactors != nil {
			t /= m.ropeFactors[i]
		}
		sin, cos := math.Sincos(float64(t / m.ropeScale))
		a.cos[i], a.sin[i] = float32(cos), float32(sin)
		theta *= step
	}
}

// rotate turns each head of x, heads of dim values.
func (a *angles) rotate(x []float32, dim int, neox bool) {
	pairs := len(a.cos)
	for ; len(x) > 0; x = x[dim:] {
		for i := range pairs {
			first, second := 2*i, 2*i+1
			if neox {
				first, second = i, i+pairs
			}
			u, v := x[first], x[second]
			x[first] = u*a.cos[i] - v*a.sin[i]
			x[second] = u*a.sin[i] + v*a.cos[i]
		}
	}
}
