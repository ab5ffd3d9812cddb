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
		r := 0
		for ; r+4 <= len(out); r += 4 {
			rows(&out[r], &w[r*stride], stride, &v.x[0], n)
		}
		var four [4]float32
		for ; r < len(out); r++ { // the same row four times
			rows(&four[0], &w[r*stride], 0, &v.x[0], n)
			out[r] = four[0]
		}
	}
	f.batch = inFours(f.rows, func(out *[4]float32, w []byte, v *[4]vector) {
		if n := len(v[0].x); n%8 == 0 {
			cols(&out[0], &w[0], &v[0].x[0], &v[1].x[0], &v[2].x[0], &v[3].x[0], n)
			return
		}
		for i := range out {
			out[i] = portable.dot(w, v[i])
		}
	})
}

// blocks sets the kernels of a type with blocks of 32.
func blocks(f *format, rows blockRows, cols blockCols) {
	f.rows = func(out []float32, w []byte, v vector) {
		rows(&out[0], &w[0], len(out), &v.q[0], &v.d[0], len(v.d))
	}
	f.batch = inFours(f.rows, func(out *[4]float32, w []byte, v *[4]vector) {
		c := columns{
			q: [4]*int8{&v[0].q[0], &v[1].q[0], &v[2].q[0], &v[3].q[0]},
			d: [4]*float32{&v[0].d[0], &v[1].d[0], &v[2].d[0], &v[3].d[0]},
		}
		cols(&out[0], &w[0], &c, len(v[0].d))
	})
}

// inFours is a batch by a kernel of one row and four vectors, and by one of
// rows for what is left of the vectors.
func inFours(
	rows func(out []float32, w []byte, v vector), cols func(out *[4]float32, w []byte, v *[4]vector),
) func(out []float32, stride, n int, w []byte, vectors []vector) {
	return func(out []float32, stride, n int, w []byte, vectors []vector) {
		var four [4]float32
		size, j := len(w)/n, 0
		for ; j+4 <= len(vectors); j += 4 {
			for r := range n {
				cols(&four, w[r*size:(r+1)*size], (*[4]vector)(vectors[j:]))
				for c, x := range four {
					out[(j+c)*stride+r] = x
				}
			}
		}
		for ; j < len(vectors); j++ {
			rows(out[j*stride:j*stride+n], w, vectors[j])
		}
	}
}
