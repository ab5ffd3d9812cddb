package fit_test

import (
	"math"
	"testing"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/fit"
	"rbee.dev/rbee/inference/gguf"
)

const mebi = 1 << 20

func TestACacheGrowsWithWhatItHolds(t *testing.T) {
	for _, c := range []struct {
		name, model string
		spec        inference.Spec
		builtin     bool
		want        uint64 // MiB
	}{
		// 32 layers × 8 heads × 128 values, keys and values: 128 KiB a token in F16.
		{"as usual", "llama 3 8B", inference.Spec{}, false, 4 * 4096 / 8},
		{"one request", "llama 3 8B", inference.Spec{Parallel: 1}, false, 4096 / 8},
		{"a longer context", "llama 3 8B", inference.Spec{Parallel: 1, ContextLength: 131072}, false, 131072 / 8},
		{"a context that is rounded up", "llama 3 8B", inference.Spec{Parallel: 1, ContextLength: 1}, false, 256 / 8},
		{"in Q8_0", "llama 3 8B", inference.Spec{Parallel: 1, Flags: []string{"--cache-type-k=q8_0", "ctv=q8_0"}}, false, 4096 / 8 * 34 / 64},
		{"in a type that is not known", "llama 3 8B", inference.Spec{Parallel: 1, Flags: []string{"ctk=new", "ctv=new"}}, false, 2 * 4096 / 8},
		{"builtin, in F32", "llama 3 8B", inference.Spec{Parallel: 1}, true, 2 * 4096 / 8},
		// 8 of 48 layers keep all of 4 KiB a token and layer, 40 a window and a batch: 1536.
		{"windows", "gemma 3 12B", inference.Spec{Parallel: 1, ContextLength: 32768}, false, 8 * (8*32768 + 40*1536) / 1024},
		{"windows kept whole", "gemma 3 12B", inference.Spec{Parallel: 1, ContextLength: 32768, Flags: []string{"swa-full"}}, false, 8 * 48 * 32768 / 1024},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := read(t, described[c.model].bytes())
			run := m.LlamaCpp(c.spec)
			if c.builtin {
				run = m.Builtin(c.spec)
			}
			if got := m.Need(run).Cache; got != c.want*mebi {
				t.Errorf("the cache takes %d bytes, want %d MiB", got, c.want)
			}
		})
	}
}

func TestLayersOfOtherKindsKeepOtherThings(t *testing.T) {
	for _, c := range []struct {
		name string
		set  map[string]any
		want uint64 // bytes at 1024 tokens of one request
	}{
		{"heads by the layer", map[string]any{"block_count": uint32(3), "attention.head_count": uint32(4), "attention.head_count_kv": []int32{4, 2, 0}}, 1024 * 6 * 64 * 4},
		{"a state in place of a cache", map[string]any{
			"block_count": uint32(2), "ssm.inner_size": uint32(512), "ssm.state_size": uint32(16), "ssm.conv_kernel": uint32(4),
		}, 2 * 4 * (3*512 + 16*512)},
		{"each fourth layer attends", map[string]any{
			"block_count": uint32(8), "full_attention_interval": uint32(4), "attention.head_count": uint32(4), "attention.head_count_kv": uint32(1),
			"ssm.inner_size": uint32(512), "ssm.state_size": uint32(16), "ssm.conv_kernel": uint32(4),
		}, 2*1024*64*4 + 6*4*(3*512+16*512)},
		{"a window that the file tells of", map[string]any{
			"block_count": uint32(2), "attention.head_count": uint32(4), "attention.sliding_window": uint32(1), "attention.sliding_window_pattern": []bool{true, false},
		}, (768 + 1024) * 256 * 4},
		{"nothing kept of a text", map[string]any{"block_count": uint32(12), "attention.head_count": uint32(4), "attention.causal": false}, 0},
		{"nothing known", map[string]any{}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.set["embedding_length"] = uint32(256)
			m := read(t, description{architecture: "x", set: c.set}.bytes())
			if got := m.Need(m.LlamaCpp(inference.Spec{Parallel: 1, ContextLength: 1024})).Cache; got != c.want {
				t.Errorf("the cache takes %d bytes, want %d", got, c.want)
			}
		})
	}
}

func TestTheLongestContextIsTheOneThatJustFits(t *testing.T) {
	m := read(t, described["llama 3 8B"].bytes())
	run := m.LlamaCpp(inference.Spec{Parallel: 2, ContextLength: 32768})
	for _, tokens := range []int{256, 4096, 32768} {
		r := run
		r.Context = tokens
		need := m.Need(r).Total()
		if got := m.Longest(run, need); got != tokens {
			t.Errorf("with what %d tokens need, %d fit", tokens, got)
		}
		if got := m.Longest(run, need-1); got != tokens-256 {
			t.Errorf("with a byte less than %d tokens need, %d fit", tokens, got)
		}
	}
	if got := m.Longest(run, math.MaxUint64); got != 32768 {
		t.Errorf("without a bound %d fit", got)
	}
}

func TestWhatAFileClaimsDoesNotOverflow(t *testing.T) {
	huge := map[string]any{"attention.head_count_kv": uint64(math.MaxUint64)}
	for _, key := range []string{
		"block_count", "embedding_length", "feed_forward_length", "context_length", "attention.head_count", "attention.key_length",
		"ssm.inner_size", "ssm.state_size", "ssm.group_count", "expert_used_count", "expert_feed_forward_length", "wkv.head_size",
	} {
		huge[key] = uint64(math.MaxUint64)
	}
	m := read(t, description{architecture: "x", set: huge}.bytes())
	for _, run := range []fit.Run{m.LlamaCpp(inference.Spec{ContextLength: 1 << 20, Parallel: 64}), m.Builtin(inference.Spec{})} {
		if got := m.Need(run).Total(); got < 1<<50 {
			t.Errorf("it takes %d bytes only", got)
		}
	}
	if got := m.Longest(m.LlamaCpp(inference.Spec{}), 1<<40); got != 0 {
		t.Errorf("%d tokens fit", got)
	}
}

// FuzzRead holds that no file makes the estimate fail, or less than its weights.
func FuzzRead(f *testing.F) {
	for _, d := range described {
		f.Add(d.bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := gguf.Parse(data)
		if err != nil {
			return
		}
		m := fit.Read(file, int64(len(data)))
		for _, run := range []fit.Run{m.LlamaCpp(inference.Spec{}), m.Builtin(inference.Spec{})} {
			if m.Need(run).Total() < uint64(len(data)) || m.Longest(run, 1<<30) < 0 {
				t.Error("the estimate is less than the file")
			}
		}
	})
}
