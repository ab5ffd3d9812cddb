package kernel

import (
	"math/rand/v2"
	"testing"

	"rbee.dev/rbee/inference/gguf"
)

// BenchmarkLargeMatrix measures one vector with a matrix that no cache holds, as
// in the making of one token.
func BenchmarkLargeMatrix(b *testing.B) {
	const rows, cols = 180_000, 768
	for _, kind := range []gguf.Type{gguf.Q8_0, gguf.Q4_0, gguf.Q4_K} {
		b.Run(kind.String(), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 1))
			data, x := randomRows(r, kind, rows, cols), randomVectors(r, cols)
			k := New()
			m, err := k.Matrix(kind, rows, cols, data)
			if err != nil {
				b.Fatal(err)
			}
			var a Activations
			k.Prepare(&a, kind, x, 1, cols)
			out := make([]float32, rows)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				m.MulRange(&a, out, rows, 0, rows)
			}
		})
	}
}
