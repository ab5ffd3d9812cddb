package fit_test

import (
	"testing"

	"rbee.dev/rbee/inference/fit"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
)

// description is the metadata of a model, without weights that would mean
// anything: the shapes are those of models that people use.
type description struct {
	architecture string
	set          map[string]any
	window       bool // some layers look back a window only
}

var described = map[string]description{
	"llama 3 8B": {"llama", map[string]any{
		"block_count": uint32(32), "embedding_length": uint32(4096), "feed_forward_length": uint32(14336), "context_length": uint32(131072),
		"attention.head_count": uint32(32), "attention.head_count_kv": uint32(8),
	}, false},
	"qwen3 30B A3B": {"qwen3moe", map[string]any{
		"block_count": uint32(48), "embedding_length": uint32(2048), "feed_forward_length": uint32(6144), "context_length": uint32(40960),
		"attention.head_count": uint32(32), "attention.head_count_kv": uint32(4), "attention.key_length": uint32(128), "attention.value_length": uint32(128),
		"expert_count": uint32(128), "expert_used_count": uint32(8), "expert_feed_forward_length": uint32(768),
	}, false},
	"gemma 3 12B": {"gemma3", map[string]any{
		"block_count": uint32(48), "embedding_length": uint32(3840), "feed_forward_length": uint32(15360), "context_length": uint32(131072),
		"attention.head_count": uint32(16), "attention.head_count_kv": uint32(8), "attention.key_length": uint32(256), "attention.value_length": uint32(256),
		"attention.sliding_window": uint32(1024),
	}, true},
}

func (d description) bytes() []byte {
	var b gguftest.Builder
	b.Set("general.architecture", d.architecture)
	for key, v := range d.set {
		b.Set(d.architecture+"."+key, v)
	}
	b.Set("tokenizer.ggml.model", "gpt2")
	b.Set("tokenizer.ggml.tokens", make([]string, 32000))
	b.Add("token_embd.weight", gguf.F32, make([]byte, 4*256), 256, 1)
	return b.Bytes()
}

func read(t testing.TB, data []byte) fit.Model {
	t.Helper()
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return fit.Read(f, int64(len(data)))
}
