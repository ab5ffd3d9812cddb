package kernel

import (
	"unsafe"

	"rbee.dev/rbee/inference/gguf"
)

// NEON is part of every arm64 processor that Go runs on, so there is nothing to
// ask for at run time.

//go:noescape
func dotF32NEON(w *byte, x *float32, n int) float32

//go:noescape
func dotF16NEON(w *byte, x *float32, n int) float32

//go:noescape
func dotBF16NEON(w *byte, x *float32, n int) float32

//go:noescape
func addScaledNEON(dst, x *float32, n int, s float32)

//go:noescape
func dotQ8NEON(w *byte, q *int8, d *float32, blocks int) float32

//go:noescape
func dotQ4NEON(w *byte, q *int8, d *float32, blocks int) float32

// levels are the ways to compute on this processor, the fastest last.
func levels() []level { return []level{portable(), {"NEON", applyNEON}} }

func applyNEON(k *Kernels) {
	table := k.table
	floats(table[gguf.F32], dotF32NEON)
	floats(table[gguf.F16], dotF16NEON)
	floats(table[gguf.BF16], dotBF16NEON)
	blocks(table[gguf.Q8_0], dotQ8NEON)
	blocks(table[gguf.Q4_0], dotQ4NEON)
	applyLarge(table)
	k.dot, k.addScaled = dotBy(16, dotFloatsNEON), addScaledBy(8, addScaledNEON)
}

// floats sets the kernel of a float type. It takes multiples of 16 values; rows
// of other lengths, which no model has, keep the portable form.
func floats(f *format, dot func(w *byte, x *float32, n int) float32) {
	portable := f.dot
	f.dot = func(w []byte, v vector) float32 {
		if len(v.x)%16 != 0 {
			return portable(w, v)
		}
		return dot(&w[0], &v.x[0], len(v.x))
	}
}

// blocks sets the kernel of a type with blocks of 32.
func blocks(f *format, dot func(w *byte, q *int8, d *float32, blocks int) float32) {
	f.dot = func(w []byte, v vector) float32 { return dot(&w[0], &v.q[0], &v.d[0], len(v.d)) }
}

// dotFloatsNEON is dotF32NEON for rows that do not lie in a file.
func dotFloatsNEON(a, b *float32, n int) float32 {
	return dotF32NEON((*byte)(unsafe.Pointer(a)), b, n) //nolint:gosec // the assembly takes rows as they lie in files
}
