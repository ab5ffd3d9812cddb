package llamacpp

import (
	"path/filepath"
	"testing"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/testdata"
)

// withPooling is the built-in model as one that makes vectors.
func withPooling(t *testing.T, kind uint32) []byte {
	t.Helper()
	f, err := gguf.Parse(testdata.Tinybee())
	if err != nil {
		t.Fatal(err)
	}
	var b gguftest.Builder
	for _, key := range f.Keys() {
		if v := entry(f, key); v != nil {
			b.Set(key, v)
		}
	}
	b.Set("llama.pooling_type", kind)
	for _, tensor := range f.Tensors() {
		b.Add(tensor.Name, tensor.Type, f.Data(tensor), tensor.Shape...)
	}
	return b.Bytes()
}

// entry is a metadata value, of the type that it has in a file.
func entry(f *gguf.File, key string) any {
	if v, ok := f.String(key); ok {
		return v
	} else if v, ok := f.Strings(key); ok {
		return v
	} else if v, ok := f.Bool(key); ok {
		return v
	} else if v, ok := f.Uint(key); ok {
		return uint32(v) //nolint:gosec // the built-in model has no larger ones
	} else if v, ok := f.Float(key); ok {
		return float32(v)
	} else if v, ok := f.Ints(key); ok {
		return v
	} else if v, ok := f.Floats(key); ok {
		return v
	}
	return nil
}

func TestAModelThatMakesVectorsIsRunAsOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	write(t, path, withPooling(t, 1))
	if m, err := inspect(path); err != nil || m.pooling != 1 {
		t.Fatalf("got %+v, %v", m, err)
	}
	var vectors struct {
		Data []struct{ Embedding []float64 }
	}
	ask(t, front(t, open(t, inference.Spec{Parallel: 1, ModelPath: path}))+"/v1/embeddings", chat{"input": []string{"a bee", "a tree"}}, &vectors)
	if len(vectors.Data) != 2 || len(vectors.Data[0].Embedding) != 160 {
		t.Errorf("got %d vectors", len(vectors.Data))
	}
}
