package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"rbee.dev/rbee/inference/gguf"
)

// eachBench runs a benchmark for each type and level, the fastest first.
func eachBench(b *testing.B, kinds []gguf.Type, bench func(b *testing.B, k *Kernels, kind gguf.Type)) {
	for _, kind := range kinds {
		list := levels()
		for i := len(list) - 1; i > 0 || i == 0 && len(list) == 1; i-- {
			b.Run(fmt.Sprintf("%s/%s", kind, list[i].name), func(b *testing.B) { bench(b, newKernels(list[i]), kind) })
		}
	}
}

// measureProduct measures a product with n vectors.
func measureProduct(b *testing.B, k *Kernels, kind gguf.Type, rows, cols, n int) {
	r := rand.New(rand.NewPCG(1, 1))
	data, x := randomRows(r, kind, rows, cols), randomVectors(r, n*cols)
	m, err := k.Matrix(kind, rows, cols, data)
	if err != nil {
		b.Fatal(err)
	}
	var a Activations
	k.Prepare(&a, kind, x, n, cols)
	out := make([]float32, n*rows)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		m.MulRange(&a, out, rows, 0, rows)
	}
	b.ReportMetric(2*float64(rows*cols*n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}

// BenchmarkMulRange measures matrices that caches hold.
func BenchmarkMulRange(b *testing.B) {
	eachBench(b, types, func(b *testing.B, k *Kernels, kind gguf.Type) {
		for _, n := range []int{1, 16} {
			b.Run(fmt.Sprintf("vectors=%d", n), func(b *testing.B) { measureProduct(b, k, kind, 1024, 1024, n) })
		}
	})
}

// BenchmarkLargeMatrix measures one vector with a matrix that no cache holds, as
// in the making of one token.
func BenchmarkLargeMatrix(b *testing.B) {
	kinds := []gguf.Type{gguf.F16, gguf.Q8_0, gguf.Q4_0, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K}
	eachBench(b, kinds, func(b *testing.B, k *Kernels, kind gguf.Type) { measureProduct(b, k, kind, 180_000, 768, 1) })
}

// BenchmarkPrepare measures what vectors are turned into before products.
func BenchmarkPrepare(b *testing.B) {
	const n, cols = 16, 1024
	for _, kind := range []gguf.Type{gguf.F16, gguf.Q8_0, gguf.Q4_K} {
		b.Run(kind.String(), func(b *testing.B) {
			x := randomVectors(rand.New(rand.NewPCG(1, 1)), n*cols)
			var a Activations
			k := New()
			b.SetBytes(n * cols * 4)
			for b.Loop() {
				k.Prepare(&a, kind, x, n, cols)
			}
		})
	}
}
