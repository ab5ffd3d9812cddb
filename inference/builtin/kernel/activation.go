package kernel

import (
	"math"

	"rbee.dev/rbee/inference/gguf"
)

// activation is a form that vectors take before they meet weights. The forms
// are llama.cpp's, rounding included, so that the numbers come out the same.
type activation int

const (
	asFloat activation = iota // float32
	asHalf                    // float32 rounded to binary16
	asBrain                   // float32 rounded to bfloat16
	asQ8                      // int8 with a scale for each 32 (ggml's Q8_0)
	asQ8K                     // int8 with a scale for each 256 (ggml's Q8_K)
)

const (
	smallBlock = 32
	largeBlock = 256
)

// vector is one vector in the form that a type wants.
type vector struct {
	x    []float32 // asFloat, asHalf, asBrain
	q    []int8    // asQ8, asQ8K
	d    []float32 // scales of the blocks
	wide []int16   // asQ8K: q again, as some kernels want it
	sums []int16   // asQ8K: sums of q over each 32
}

// Activations are vectors prepared for products with matrices of one type. The
// zero value is ready; its memory is used again at each Prepare.
type Activations struct {
	vectors []vector
	kind    activation
	x       []float32
	q       []int8
	d       []float32
	wide    []int16
	sums    []int16
}

// Prepare takes n vectors of cols values, one after the other in x, for
// matrices of type t. It may keep x, which must not change until the products
// are taken.
func (k *Kernels) Prepare(a *Activations, t gguf.Type, x []float32, n, cols int) {
	a.kind = k.table[t].activation
	a.vectors = a.vectors[:0]
	switch a.kind {
	case asHalf, asBrain:
		a.x = grow(a.x, n*cols)
		round(a.x, x[:n*cols], a.kind)
		x = a.x
	case asQ8:
		a.q, a.d = grow(a.q, n*cols), grow(a.d, n*cols/smallBlock)
	case asQ8K:
		a.q, a.d, a.sums = grow(a.q, n*cols), grow(a.d, n*cols/largeBlock), grow(a.sums, n*cols/smallBlock)
		a.wide = grow(a.wide, n*cols)
	case asFloat:
	}
	for j := range n {
		lo, hi := j*cols, (j+1)*cols
		v := vector{x: x[lo:hi:hi]}
		switch a.kind {
		case asQ8:
			v = vector{q: a.q[lo:hi], d: a.d[lo/smallBlock : hi/smallBlock]}
			quantizeQ8(v, x[lo:hi])
		case asQ8K:
			v = vector{q: a.q[lo:hi], wide: a.wide[lo:hi], d: a.d[lo/largeBlock : hi/largeBlock], sums: a.sums[lo/smallBlock : hi/smallBlock]}
			quantizeQ8K(v, x[lo:hi])
		case asFloat, asHalf, asBrain:
		}
		a.vectors = append(a.vectors, v)
	}
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

func round(dst, x []float32, kind activation) {
	for i, f := range x {
		if kind == asHalf {
			dst[i] = halfToFloat(floatToHalf(f))
		} else {
			dst[i] = brainToFloat(floatToBrain(f))
		}
	}
}

// quantizeQ8 scales each 32 values so that the largest is ±127. The scale is
// kept in half precision, as llama.cpp does.
func quantizeQ8(v vector, x []float32) {
	for b := range v.d {
		block := x[b*smallBlock : (b+1)*smallBlock]
		var most float32
		for _, f := range block {
			most = max(most, float32(math.Abs(float64(f))))
		}
		d := most / 127
		inverse := float32(0)
		if d != 0 {
			inverse = 1 / d
		}
		v.d[b] = halfToFloat(floatToHalf(d))
		q := v.q[b*smallBlock : (b+1)*smallBlock]
		for i, f := range block {
			q[i] = int8(roundEven(f * inverse))
		}
	}
}

// quantizeQ8K scales each 256 values so that the one largest in size is -127.
func quantizeQ8K(v vector, x []float32) {
	for b := range v.d {
		block := x[b*largeBlock : (b+1)*largeBlock]
		q, wide := v.q[b*largeBlock:(b+1)*largeBlock], v.wide[b*largeBlock:(b+1)*largeBlock]
		var most, size float32
		for _, f := range block {
			if s := float32(math.Abs(float64(f))); s > size {
				most, size = f, s
			}
		}
		v.d[b] = 0
		inverse := float32(0)
		if size != 0 {
			inverse = -127 / most
			v.d[b] = 1 / inverse
		}
		sums := v.sums[b*largeBlock/smallBlock:]
		for s := range largeBlock / smallBlock {
			sums[s] = 0
			for i := s * smallBlock; i < (s+1)*smallBlock; i++ {
				wide[i] = int16(min(127, roundEven(block[i]*inverse)))
				q[i] = int8(wide[i]) //nolint:gosec // -127 to 127
				sums[s] += wide[i]
			}
		}
	}
}

// roundEven rounds to the nearest whole number, ties to even, for values that
// are far below 2^22.
func roundEven(f float32) int32 {
	const magic = 1.5 * (1 << 23)
	return int32(math.Float32bits(f+magic)) - int32(math.Float32bits(magic)) //nolint:gosec // the low bits are the number
}
