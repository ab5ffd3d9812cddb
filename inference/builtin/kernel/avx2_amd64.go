package kernel

import "rbee.dev/rbee/inference/gguf"

// columns is four prepared vectors as the assembly takes them.
type columns struct {
	q [4]*int8
	d [4]*float32
	x [4]*float32
}

//go:noescape
func dotFloatsAVX2(a, b *float32, n int) float32

//go:noescape
func addScaledAVX2(dst, x *float32, n int, s float32)

//go:noescape
func f32Rows4(out *float32, w *byte, stride int, x *float32, n int)

//go:noescape
func f32Cols4(out *float32, w *byte, x0, x1, x2, x3 *float32, n int)

//go:noescape
func f16Rows4(out *float32, w *byte, stride int, x *float32, n int)

//go:noescape
func f16Cols4(out *float32, w *byte, x0, x1, x2, x3 *float32, n int)

//go:noescape
func bf16Rows4(out *float32, w *byte, stride int, x *float32, n int)

//go:noescape
func bf16Cols4(out *float32, w *byte, x0, x1, x2, x3 *float32, n int)

//go:noescape
func q8Rows(out *float32, w *byte, rows int, q *int8, d *float32, blocks int)

//go:noescape
func q8Cols4(out *float32, w *byte, v *columns, blocks int)

//go:noescape
func q4Rows(out *float32, w *byte, rows int, q *int8, d *float32, blocks int)

//go:noescape
func q4Cols4(out *float32, w *byte, v *columns, blocks int)

type (
	floatRows func(out *float32, w *byte, stride int, x *float32, n int)
	floatCols func(out *float32, w *byte, x0, x1, x2, x3 *float32, n int)
	blockRows func(out *float32, w *byte, rows int, q *int8, d *float32, blocks int)
	blockCols func(out *float32, w *byte, v *columns, blocks int)
)

// applyAVX2 needs AVX2, FMA and F16C.
func applyAVX2(k *Kernels) {
	floats(k.table[gguf.F32], f32Rows4, f32Cols4)
	floats(k.table[gguf.F16], f16Rows4, f16Cols4)
	floats(k.table[gguf.BF16], bf16Rows4, bf16Cols4)
	blocks(k.table[gguf.Q8_0], q8Rows, q8Cols4)
	blocks(k.table[gguf.Q4_0], q4Rows, q4Cols4)
	largeRows(k.table[gguf.Q4_K], q4kRowsAVX2)
	largeRows(k.table[gguf.Q5_K], q5kRowsAVX2)
	largeRows(k.table[gguf.Q6_K], q6kRowsAVX2)
	applyLargeBatch(k.table, multiplyTileAVX2)
	k.dot, k.addScaled = dotBy(8, dotFloatsAVX2), addScaledBy(8, addScaledAVX2)
	k.exps, k.gate = expsFast, gateFast
}

// floats sets the kernels of a float type. They take multiples of 8 values;
// rows of other lengths, which no model has, keep the portable form.
func floats(f *format, rows floatRows, cols floatCols) {
	portable := *f
	f.rows = func(out []float32, w []byte, v vector) {
		n, stride := len(v.x), len(w)/len(out)
		if n%8 != 0 {
			portable.each(out, w, v)
			return
		}
		whole := len(out) &^ 3
		for r := 0; r < whole; r += 4 {
			rows(&out[r], &w[r*stride], stride, &v.x[0], n)
		}
		if whole < len(out) {
			lastRows(rows, out[whole:], w[whole*stride:], v)
		}
	}
	f.batch = func(out []float32, stride, n int, w []byte, vectors []vector) {
		size := len(vectors[0].x)
		if size%8 != 0 {
			for j, v := range vectors {
				portable.each(out[j*stride:j*stride+n], w, v)
			}
			return
		}
		inFours(out, stride, n, w, vectors, f.rows, func(out *[4]float32, w *byte, v *columns) {
			cols(&out[0], w, v.x[0], v.x[1], v.x[2], v.x[3], size)
		})
	}
}

// lastRows does each of some rows, fewer than four, four times.
func lastRows(rows floatRows, out []float32, w []byte, v vector) {
	var four [4]float32
	size := len(w) / len(out)
	for r := range out {
		rows(&four[0], &w[r*size], 0, &v.x[0], len(v.x))
		out[r] = four[0]
	}
}

// blocks sets the kernels of a type with blocks of 32.
func blocks(f *format, rows blockRows, cols blockCols) {
	f.rows = func(out []float32, w []byte, v vector) {
		rows(&out[0], &w[0], len(out), &v.q[0], &v.d[0], len(v.d))
	}
	f.batch = func(out []float32, stride, n int, w []byte, vectors []vector) {
		inFours(out, stride, n, w, vectors, f.rows, func(out *[4]float32, w *byte, v *columns) {
			cols(&out[0], w, v, len(vectors[0].d))
		})
	}
}

// inFours is a batch by a kernel of one row and four vectors, and by one of
// rows for what is left of the vectors.
func inFours(
	out []float32, stride, n int, w []byte, vectors []vector,
	rows func(out []float32, w []byte, v vector), cols func(out *[4]float32, w *byte, v *columns),
) {
	var four [4]float32
	var v columns
	size, j := len(w)/n, 0
	for ; j+4 <= len(vectors); j += 4 {
		v.set(vectors[j : j+4])
		for r := range n {
			cols(&four, &w[r*size], &v)
			for c, x := range four {
				out[(j+c)*stride+r] = x
			}
		}
	}
	for ; j < len(vectors); j++ {
		rows(out[j*stride:j*stride+n], w, vectors[j])
	}
}

// set takes one to four vectors, the last as often as is needed.
func (list *columns) set(vectors []vector) {
	for c := range 4 {
		v := vectors[min(c, len(vectors)-1)]
		if v.x != nil {
			list.x[c] = &v.x[0]
			continue
		}
		list.q[c], list.d[c] = &v.q[0], &v.d[0]
	}
}
