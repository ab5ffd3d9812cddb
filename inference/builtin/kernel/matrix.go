package kernel

import (
	"fmt"

	"rbee.dev/rbee/inference/gguf"
)

// Matrix is a matrix of weights as it lies in a file, row after row.
type Matrix struct {
	Type       gguf.Type
	Rows, Cols int
	data       []byte
	stride     int // bytes of a row
	format     *format
}

// format is how one tensor type is computed with.
type format struct {
	// activation is what vectors are turned into before a product.
	activation activation
	// row turns a row of weights to float32.
	row func(dst []float32, w []byte)
	// dot is the product of one row with one prepared vector.
	dot func(w []byte, v vector) float32
	// rows is the products of neighbouring rows with one vector; rows4 of four
	// rows and cols4 of one row with four vectors. They are nil where there is
	// no faster form, and give the same numbers as dot.
	rows  func(out []float32, w []byte, v vector)
	rows4 func(out *[4]float32, w []byte, stride int, v vector)
	cols4 func(out *[4]float32, w []byte, v *[4]vector)
}

// formats is the table of types that can be computed with.
func formats() map[gguf.Type]*format {
	table := map[gguf.Type]*format{
		gguf.F32:  {activation: asFloat, row: rowF32, dot: dotF32},
		gguf.F16:  {activation: asHalf, row: rowF16, dot: dotF16},
		gguf.BF16: {activation: asBrain, row: rowBF16, dot: dotBF16},
		gguf.Q8_0: {activation: asQ8, row: rowQ8, dot: dotQ8},
		gguf.Q4_0: {activation: asQ8, row: rowQ4, dot: dotQ4},
		gguf.Q4_K: {activation: asQ8K, row: rowQ4K, dot: dotQ4K},
		gguf.Q5_K: {activation: asQ8K, row: rowQ5K, dot: dotQ5K},
		gguf.Q6_K: {activation: asQ8K, row: rowQ6K, dot: dotQ6K},
	}
	accelerate(table)
	return table
}

// Kernels is the set of operations for the processor that it was made on.
type Kernels struct {
	table map[gguf.Type]*format
}

// New chooses the fastest forms that the processor has.
func New() *Kernels { return &Kernels{table: formats()} }

// Supports reports whether matrices of type t can be computed with.
func (k *Kernels) Supports(t gguf.Type) bool { return k.table[t] != nil }

// Matrix describes rows × cols weights of type t in data, which it keeps.
func (k *Kernels) Matrix(t gguf.Type, rows, cols int, data []byte) (Matrix, error) {
	f := k.table[t]
	if f == nil {
		return Matrix{}, fmt.Errorf("tensors of type %s cannot be computed with", t)
	}
	values, bytes, _ := t.Block()
	if rows <= 0 || cols <= 0 || uint64(cols)%values != 0 {
		return Matrix{}, fmt.Errorf("%d × %d weights cannot be of type %s", rows, cols, t)
	}
	stride := cols / int(values) * int(bytes) //nolint:gosec // blocks are small
	if len(data) != rows*stride {
		return Matrix{}, fmt.Errorf("%d × %d weights of type %s take %d bytes, got %d", rows, cols, t, rows*stride, len(data))
	}
	return Matrix{Type: t, Rows: rows, Cols: cols, data: data, stride: stride, format: f}, nil
}

// Row writes row r as float32 to dst, which holds Cols values.
func (m Matrix) Row(dst []float32, r int) {
	m.format.row(dst[:m.Cols], m.data[r*m.stride:(r+1)*m.stride])
}

// MulRange writes the products of rows lo to hi with each vector of a, which
// was prepared for this matrix's type and Cols: of row r and vector j to
// out[j*stride+r].
func (m Matrix) MulRange(a *Activations, out []float32, stride, lo, hi int) {
	j := 0
	if m.format.cols4 != nil {
		for ; j+4 <= len(a.vectors); j += 4 {
			m.mulCols4((*[4]vector)(a.vectors[j:]), out[j*stride:], stride, lo, hi)
		}
	}
	for ; j < len(a.vectors); j++ {
		m.mulOne(a.vectors[j], out[j*stride:], lo, hi)
	}
}

func (m Matrix) mulCols4(v *[4]vector, out []float32, stride, lo, hi int) {
	var four [4]float32
	for r := lo; r < hi; r++ {
		m.format.cols4(&four, m.data[r*m.stride:(r+1)*m.stride], v)
		for c, x := range four {
			out[c*stride+r] = x
		}
	}
}

func (m Matrix) mulOne(v vector, out []float32, lo, hi int) {
	if m.format.rows != nil && lo < hi {
		m.format.rows(out[lo:hi], m.data[lo*m.stride:hi*m.stride], v)
		return
	}
	r := lo
	if m.format.rows4 != nil {
		for ; r+4 <= hi; r += 4 {
			m.format.rows4((*[4]float32)(out[r:]), m.data[r*m.stride:(r+4)*m.stride], m.stride, v)
		}
	}
	for ; r < hi; r++ {
		out[r] = m.format.dot(m.data[r*m.stride:(r+1)*m.stride], v)
	}
}
