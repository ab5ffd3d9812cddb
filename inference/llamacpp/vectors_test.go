package llamacpp

import (
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/testdata"
)

func TestAModelThatMakesVectorsIsRunAsOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	write(t, path, gguftest.Changed(testdata.Tinybee(), map[string]any{"llama.pooling_type": uint32(1)}))
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

func TestAModelThatRanksIsRunAsOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	write(t, path, gguftest.Changed(testdata.Tinybee(), map[string]any{"llama.pooling_type": uint32(poolRank)}))
	folder := shortFolder(t)
	engine := front(t, open(t, inference.Spec{Parallel: 1, ModelPath: path, Folder: folder}))
	direct := front(t, socket(filepath.Join(folder, "engine.sock")))
	body := chat{"query": "bee", "documents": []string{"a bee", "a tree"}}
	want, got := whole(t, direct+"/v1/rerank", body), whole(t, engine+"/v1/rerank", body)
	if got != want || !strings.HasPrefix(got, "200 OK") || strings.Count(got, "relevance_score") != 2 {
		t.Errorf("got %s, want %s", got, want)
	}
}
