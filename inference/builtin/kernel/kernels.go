package kernel

import "rbee.dev/rbee/inference/gguf"

// Kernels is the set of operations for the processor that it was made on.
type Kernels struct {
	table     map[gguf.Type]*format
	dot       func(a, b []float32) float32
	addScaled func(dst, x []float32, s float32)
	exps      func(x []float32, most float32) float64
	gate      func(gate, up []float32)
}

// format is how one tensor type is computed with.
type format struct {
	// activation is what vectors are turned into before a product.
	activation activation
	// row turns a row of weights to float32.
	row func(dst []float32, w []byte)
	// dot is the product of one row with one prepared vector.
	dot func(w []byte, v vector) float32
	// rows is the products of neighbouring rows with one vector, len(out) of
	// them, and batch the products of as many rows with several vectors: of row
	// r and vector j to out[j*stride+r]. They are nil where there is no faster
	// form. Both give the same numbers, and those of dot where one of them is
	// nil.
	rows  func(out []float32, w []byte, v vector)
	batch func(out []float32, stride, rows int, w []byte, vectors []vector)
	// tile is how many rows batch takes at most; 0 is any number, and best as
	// many as stay in the nearest cache.
	tile int
}

// level is one way to compute: what of the processor is made use of.
type level struct {
	name string
	// apply puts the level's assembly in the place of lesser forms.
	apply func(*Kernels)
}

// New chooses the fastest forms that the processor has. GODEBUG can hide what it
// has (golang.org/x/sys/cpu): with cpu.avx512f=off New takes AVX2, with
// cpu.avx2=off the portable forms.
func New() *Kernels {
	list := levels()
	return newKernels(list[len(list)-1])
}

// newKernels computes at one of the levels.
func newKernels(l level) *Kernels {
	k := &Kernels{
		table: map[gguf.Type]*format{
			gguf.F32:  {activation: asFloat, row: rowF32, dot: dotF32},
			gguf.F16:  {activation: asHalf, row: rowF16, dot: dotF16},
			gguf.BF16: {activation: asBrain, row: rowBF16, dot: dotBF16},
			gguf.Q8_0: {activation: asQ8, row: rowQ8, dot: dotQ8},
			gguf.Q4_0: {activation: asQ8, row: rowQ4, dot: dotQ4},
			gguf.Q4_K: {activation: asQ8K, row: rowQ4K, dot: dotQ4K},
			gguf.Q5_K: {activation: asQ8K, row: rowQ5K, dot: dotQ5K},
			gguf.Q6_K: {activation: asQ8K, row: rowQ6K, dot: dotQ6K},
		},
		dot:       dotFloats,
		addScaled: addScaled,
		exps:      exps,
		gate:      gate,
	}
	l.apply(k)
	return k
}

// portable is the lowest level: no assembly.
func portable() level { return level{"portable", func(*Kernels) {}} }

// Supports reports whether matrices of type t can be computed with.
func (k *Kernels) Supports(t gguf.Type) bool { return k.table[t] != nil }
