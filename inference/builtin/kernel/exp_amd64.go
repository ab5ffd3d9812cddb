package kernel

import "math"

//go:noescape
func expsAVX2(x *float32, n int, most float32) float64

//go:noescape
func gateAVX2(gate, up *float32, n int)

// expsFast is exps. What is no multiple of eight goes the same way: a value does
// not depend on where it lies.
func expsFast(x []float32, most float32) float64 {
	var sum float64
	whole := len(x) &^ 7
	if whole > 0 {
		sum = expsAVX2(&x[0], whole, most)
	}
	if rest := x[whole:]; len(rest) > 0 {
		var eight [8]float32
		for i := copy(eight[:], rest); i < 8; i++ {
			eight[i] = float32(math.Inf(-1)) // comes to nothing
		}
		sum += expsAVX2(&eight[0], 8, most)
		copy(rest, eight[:])
	}
	return sum
}

// gateFast is gate, in the same way.
func gateFast(gate, up []float32) {
	whole := len(gate) &^ 7
	if whole > 0 {
		gateAVX2(&gate[0], &up[0], whole)
	}
	if rest := gate[whole:]; len(rest) > 0 {
		var eight, with [8]float32
		copy(eight[:], rest)
		copy(with[:], up[whole:])
		gateAVX2(&eight[0], &with[0], 8)
		copy(rest, eight[:])
	}
}
