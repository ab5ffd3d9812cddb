package kernel

import "rbee.dev/rbee/inference/gguf"

//go:noescape
func q8RowsVNNI(out *float32, w *byte, rows int, q *int8, d *float32, blocks int)

//go:noescape
func q8TileVNNI(out *[16]float32, w *byte, stride int, v *columns, n int)

//go:noescape
func q4RowsVNNI(out *float32, w *byte, rows int, q *int8, d *float32, blocks int)

//go:noescape
func q4TileVNNI(out *[16]float32, w *byte, stride int, v *columns, n int)

//go:noescape
func q4kRowsVNNI(out *float32, w *byte, rows int, q *int8, d *float32, sums *int16, blocks int)

//go:noescape
func q5kRowsVNNI(out *float32, w *byte, rows int, q *int8, d *float32, sums *int16, blocks int)

//go:noescape
func q6kRowsVNNI(out *float32, w *byte, rows int, q *int8, d *float32, sums *int16, blocks int)

// applyVNNI needs what applyAVX512 does, and AVX512_VNNI.
func applyVNNI(k *Kernels) {
	applyAVX512(k)
	wideBlocks(k.table[gguf.Q8_0], q8RowsVNNI, q8TileVNNI)
	wideBlocks(k.table[gguf.Q4_0], q4RowsVNNI, q4TileVNNI)
	largeRows(k.table[gguf.Q4_K], q4kRowsVNNI)
	largeRows(k.table[gguf.Q5_K], q5kRowsVNNI)
	largeRows(k.table[gguf.Q6_K], q6kRowsVNNI)
	applyLargeBatch(k.table, multiplyTileVNNI)
}

// wideBlocks sets the kernels of a type with blocks of 32. They take blocks in
// pairs; rows with an odd number of them keep what they had.
func wideBlocks(f *format, rows blockRows, tile tileKernel) {
	narrow := *f
	f.rows = func(out []float32, w []byte, v vector) {
		if len(v.d)%2 != 0 {
			narrow.rows(out, w, v)
			return
		}
		rows(&out[0], &w[0], len(out), &v.q[0], &v.d[0], len(v.d))
	}
	f.batch = func(out []float32, stride, n int, w []byte, vectors []vector) {
		size := len(vectors[0].d)
		if size%2 != 0 {
			narrow.batch(out, stride, n, w, vectors)
			return
		}
		inTiles(out, stride, n, w, vectors, func(out *[16]float32, w *byte, stride int, v *columns) {
			tile(out, w, stride, v, size)
		})
	}
}
