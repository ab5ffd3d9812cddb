package kernel

import (
	"golang.org/x/sys/cpu"

	"rbee.dev/rbee/inference/gguf"
)

// columns is four prepared vectors as the assembly takes them.
type columns struct {
	q [4]*int8
	d [4]*float32
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

// fast reports whether the processor has what the assembly uses.
func fast() bool { return cpu.X86.HasAVX2 && cpu.X86.HasFMA && hasF16C() }

// hasF16C: every processor with AVX2 has F16C (Intel since Haswell, AMD since
// Excavator), and x/sys/cpu does not tell it apart.
func hasF16C() bool { return cpu.X86.HasAVX2 }

// accelerate puts the assembly into the table.
func accelerate(table map[gguf.Type]*format) {
	if !fast() {
		return
	}
	floats(table[gguf.F32], f32Rows4, f32Cols4)
	floats(table[gguf.F16], f16Rows4, f16Cols4)
	floats(table[gguf.BF16], bf16Rows4, bf16Cols4)
	blocks(table[gguf.Q8_0], q8Rows, q8Cols4)
	blocks(table[gguf.Q4_0], q4Rows, q4Cols4)
	accelerateLarge(table)
}

type (
	floatRows func(out *float32, w *byte, stride int, x *float32, n int)
	floatCols func(out *float32, w *byte, x0, x1, x2, x3 *float32, n int)
	blockRows func(out *float32, w *byte, rows int, q *int8, d *float32, blocks int)
	blockCols func(out *float32, w *byte, v *columns, blocks int)
)

// floats sets the kernels of a float type. They take multiples of 8 values;
// rows of other lengths, which no model has, keep the portable form.
func floats(f *format, rows floatRows, cols floatCols) {
	portable := f.dot
	f.rows4 = func(out *[4]float32, w []byte, stride int, v vector) {
		if len(v.x)%8 != 0 {
			for i := range out {
				out[i] = portable(w[i*stride:(i+1)*stride], v)
			}
			return
		}
		rows(&out[0], &w[0], stride, &v.x[0], len(v.x))
	}
	f.cols4 = func(out *[4]float32, w []byte, v *[4]vector) {
		if len(v[0].x)%8 != 0 {
			for i := range out {
				out[i] = portable(w, v[i])
			}
			return
		}
		cols(&out[0], &w[0], &v[0].x[0], &v[1].x[0], &v[2].x[0], &v[3].x[0], len(v[0].x))
	}
	f.dot = single(f.rows4)
}

// blocks sets the kernels of a type with blocks of 32.
func blocks(f *format, rows blockRows, cols blockCols) {
	f.rows = func(out []float32, w []byte, v vector) {
		rows(&out[0], &w[0], len(out), &v.q[0], &v.d[0], len(v.d))
	}
	f.cols4 = func(out *[4]float32, w []byte, v *[4]vector) {
		c := columns{
			q: [4]*int8{&v[0].q[0], &v[1].q[0], &v[2].q[0], &v[3].q[0]},
			d: [4]*float32{&v[0].d[0], &v[1].d[0], &v[2].d[0], &v[3].d[0]},
		}
		cols(&out[0], &w[0], &c, len(v[0].d))
	}
	f.dot = func(w []byte, v vector) float32 {
		var out [1]float32
		f.rows(out[:], w, v)
		return out[0]
	}
}

// single does one row with a kernel of four: the same row four times. Only the
// last rows of a range that is no multiple of four come this way.
func single(rows4 func(*[4]float32, []byte, int, vector)) func([]byte, vector) float32 {
	return func(w []byte, v vector) float32 {
		var out [4]float32
		rows4(&out, w, 0, v)
		return out[0]
	}
}

func dotFloats(a, b []float32) float32 {
	whole := len(a) &^ 7
	if whole == 0 || !fast() {
		return dotFloatsGo(a, b)
	}
	sum := dotFloatsAVX2(&a[0], &b[0], whole)
	for i := whole; i < len(a); i++ {
		sum += a[i] * b[i]
	}
	return sum
}

func addScaled(dst, x []float32, s float32) {
	whole := len(x) &^ 7
	if whole == 0 || !fast() {
		addScaledGo(dst, x, s)
		return
	}
	addScaledAVX2(&dst[0], &x[0], whole, s)
	addScaledGo(dst[whole:], x[whole:], s)
}
