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
	if len(a.vectors) == 1 && lo < hi {
		m.mulOne(out[lo:hi], m.data[lo*m.stride:hi*m.stride], a.vectors[0])
		return
	}
	tile := m.format.tile
	if tile == 0 {
		tile = max(8, tileBytes/m.stride&^7)
	}
	for ; lo < hi; lo += tile {
		m.mulTile(a, out, stride, lo, min(lo+tile, hi))
	}
}

// tileBytes is what rows may take that are to stay in the processor's nearest
// cache while the vectors go by.
const tileBytes = 16 << 10

func (m Matrix) mulTile(a *Activations, out []float32, stride, lo, hi int) {
	w := m.data[lo*m.stride : hi*m.stride]
	if m.format.batch != nil {
		m.format.batch(out[lo:], stride, hi-lo, w, a.vectors)
		return
	}
	for j, v := range a.vectors {
		m.mulOne(out[j*stride+lo:j*stride+hi], w, v)
	}
}

func (m Matrix) mulOne(out []float32, w []byte, v vector) {
	if m.format.rows != nil {
		m.format.rows(out, w, v)
		return
	}
	m.format.each(out, w, v)
}

// each takes the products of neighbouring rows one by one.
func (f *format) each(out []float32, w []byte, v vector) {
	size := len(w) / len(out)
	for r := range out {
		out[r] = f.dot(w[r*size:(r+1)*size], v)
	}
}
