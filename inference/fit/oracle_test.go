package fit_test

import (
	"os"
	"path/filepath"
	"testing"

	oracle "github.com/gpustack/gguf-parser-go"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/testdata"
)

// The other estimate knows the graphs of many architectures, ours does not: it
// must not be less than that by more than a tenth, nor more by half and what the
// program takes.
const (
	least = 0.9
	most  = 1.5
	slack = 160 << 20
)

// TestAnotherEstimateIsNear holds ours against gpustack's, for models on the CPU
// with flash attention. Whole caches must be the same.
func TestAnotherEstimateIsNear(t *testing.T) {
	files := map[string][]byte{"tinybee": testdata.Tinybee()}
	for name, m := range map[string]gguftest.Model{
		"llama":      {Type: gguf.Q8_0, Context: 8192},
		"many heads": {Type: gguf.F16, Layers: 8, Width: 512, Heads: 8, KVHeads: 8, FFN: 2048, Context: 8192},
		"qwen3":      {Type: gguf.Q4_K, Layers: 4, Width: 1024, Heads: 16, KVHeads: 2, FFN: 2048, Context: 16384, Architecture: "qwen3"},
		"qwen2":      {Type: gguf.Q6_K, Layers: 12, Width: 256, Heads: 4, KVHeads: 1, FFN: 1024, Context: 16384, Architecture: "qwen2"},
	} {
		files[name] = m.Bytes()
	}
	for name, d := range described {
		files[name] = d.bytes()
	}
	for name, data := range files {
		for _, context := range []int{512, 4096, 16384} {
			t.Run(name, func(t *testing.T) { compare(t, data, context, described[name].window) })
		}
	}
}

func compare(t *testing.T, data []byte, context int, window bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := oracle.ParseGGUFFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := read(t, data)
	run := m.LlamaCpp(inference.Spec{ContextLength: context, Parallel: 1})
	need := m.Need(run)
	e := f.EstimateLLaMACppRun(
		oracle.WithLLaMACppContextSize(int32(context)), oracle.WithParallelSize(1), //nolint:gosec // small
		oracle.WithFlashAttention(), oracle.WithLLaMACppOffloadLayers(0))
	d := e.Devices[0]
	cache := uint64(d.KVCache.Key + d.KVCache.Value)
	total := cache + uint64(d.Weight.Input+d.Weight.Compute+d.Weight.Output) +
		uint64(d.Computation.Footprint+d.Computation.Input+d.Computation.Compute+d.Computation.Output)
	if need.Cache != cache && !window {
		t.Errorf("at %d tokens the cache takes %d bytes, the other estimate says %d", context, need.Cache, cache)
	}
	least := least
	if window { // the other estimate keeps a longer batch beside each
		least = 0.7
	}
	if got := float64(need.Total()); got < least*float64(total) || got > most*float64(total)+slack {
		t.Errorf("at %d tokens it takes %d bytes (%+v), the other estimate says %d", context, need.Total(), need, total)
	}
}
