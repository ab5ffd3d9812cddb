package kernel

import "rbee.dev/rbee/inference/gguf"

//go:noescape
func dotFloatsAVX512(a, b *float32, n int) float32

//go:noescape
func addScaledAVX512(dst, x *float32, n int, s float32)

//go:noescape
func f32Rows512(out *float32, w *byte, rows int, x *float32, n int)

//go:noescape
func f32Tile512(out *[16]float32, w *byte, stride int, v *columns, n int)

//go:noescape
func f16Rows512(out *float32, w *byte, rows int, x *float32, n int)

//go:noescape
func f16Tile512(out *[16]float32, w *byte, stride int, v *columns, n int)

//go:noescape
func bf16Rows512(out *float32, w *byte, rows int, x *float32, n int)

//go:noescape
func bf16Tile512(out *[16]float32, w *byte, stride int, v *columns, n int)

// applyAVX512 needs the F, BW, DQ and VL parts.
func applyAVX512(k *Kernels) {
	applyAVX2(k)
	wideFloats(k.table[gguf.F32], f32Rows512, f32Tile512)
	wideFloats(k.table[gguf.F16], f16Rows512, f16Tile512)
	wideFloats(k.table[gguf.BF16], bf16Rows512, bf16Tile512)
	k.dot, k.addScaled = dotBy(16, dotFloatsAVX512), addScaledBy(16, addScaledAVX512)
}

// tileKernel computes the products of four rows, which begin stride bytes after
// one another, with four vectors: of row r and vector c to out[4*r+c].
type tileKernel func(out *[16]float32, w *byte, stride int, v *columns, n int)

// wideFloats sets the kernels of a float type. They take multiples of 16
// values; rows of other lengths keep what they had.
func wideFloats(f *format, rows func(out *float32, w *byte, rows int, x *float32, n int), tile tileKernel) {
	narrow := *f
	f.rows = func(out []float32, w []byte, v vector) {
		if len(v.x)%16 != 0 {
			narrow.rows(out, w, v)
			return
		}
		rows(&out[0], &w[0], len(out), &v.x[0], len(v.x))
	}
	f.batch = func(out []float32, stride, n int, w []byte, vectors []vector) {
		size := len(vectors[0].x)
		if size%16 != 0 {
			narrow.batch(out, stride, n, w, vectors)
			return
		}
		inTiles(out, stride, n, w, vectors, func(out *[16]float32, w *byte, stride int, v *columns) {
			tile(out, w, stride, v, size)
		})
	}
}

// inTiles is a batch by a kernel of tiles. Where there are not four vectors left
// it does the last of them over again, and where there are not four rows left,
// each row.
func inTiles(
	out []float32, stride, rows int, w []byte, vectors []vector,
	tile func(out *[16]float32, w *byte, stride int, v *columns),
) {
	var sixteen [16]float32
	var v columns
	size := len(w) / rows
	for j := 0; j < len(vectors); j += 4 {
		four := vectors[j:min(j+4, len(vectors))]
		v.set(four)
		for r := 0; r < rows; {
			n, step := 4, size
			if r+4 > rows {
				n, step = 1, 0
			}
			tile(&sixteen, &w[r*size], step, &v)
			for c := range four {
				for i := range n {
					out[(j+c)*stride+r+i] = sixteen[4*i+c]
				}
			}
			r += n
		}
	}
}
