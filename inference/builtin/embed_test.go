package builtin_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/inference/openai"
	"rbee.dev/rbee/ops"
)

func dot(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func TestTextsThatAreAlikeHaveVectorsThatAre(t *testing.T) {
	e := open(t, inference.Spec{})
	vectors, tokens, err := e.Embed(t.Context(), []string{
		"The little bee flew over the green meadow.", "The little bee flew over the old garden.", "Nobody knew what to do.",
	})
	if err != nil {
		t.Fatal(err)
	}
	if tokens < 15 {
		t.Errorf("%d tokens counted", tokens)
	}
	for i, v := range vectors {
		if length := math.Sqrt(dot(v, v)); math.Abs(length-1) > 1e-5 {
			t.Errorf("vector %d has the length %v", i, length)
		}
	}
	if near, far := dot(vectors[0], vectors[1]), dot(vectors[0], vectors[2]); near <= far {
		t.Errorf("alike %.3f, not alike %.3f", near, far)
	}
}

func TestVectorsAreLlamaCpps(t *testing.T) {
	texts := []string{"The little bee flew over the meadow.", "x", "Nobody knew what to do, but Mila had an idea."}
	model := gguftest.Model{Type: gguf.F32, Seed: 2, Vocabulary: vocabulary(t)}.Bytes()
	server := startLlamaServer(t, model, "-c", "512", "--embeddings", "--pooling", "mean", "--cache-type-k", "f32", "--cache-type-v", "f32", "-fa", "off")
	var want struct {
		Data []struct{ Embedding []float32 }
	}
	server.post(t, "/v1/embeddings", map[string]any{"input": texts}, &want)
	got, _, err := openBytes(t, model).Embed(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		if alike := dot(got[i], want.Data[i].Embedding); alike < 0.9999 {
			t.Errorf("%q: the cosine of ours and llama.cpp's is %v", text, alike)
		}
	}
}

func TestAVectorDoesNotDependOnWhoSharesTheBatch(t *testing.T) {
	text := "Once upon a time there was a bee " + strings.Repeat("who sang and sang ", 20)
	alone, _, err := open(t, inference.Spec{Threads: 1, Parallel: 1}).Embed(t.Context(), []string{text})
	if err != nil {
		t.Fatal(err)
	}
	e := open(t, inference.Spec{Threads: 2, Parallel: 2})
	var others sync.WaitGroup
	others.Go(func() {
		generate(t, e, openai.Request{Prompt: "Once upon a time", MaxTokens: 80})
	})
	got, _, err := e.Embed(t.Context(), []string{"short", text, "another one"})
	others.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got[1], alone[0]) {
		t.Error("the vector is another in company")
	}
}

func TestEmbeddingsThatCannotBe(t *testing.T) {
	e := open(t, inference.Spec{ContextLength: 32})
	for name, text := range map[string]string{"empty": "", "longer than the context": strings.Repeat("bee ", 200)} {
		if _, _, err := e.Embed(t.Context(), []string{text}); ops.AsError(err).Code != ops.CodeInvalid || ops.AsError(err).Field != "input" {
			t.Errorf("%s: %v", name, err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := e.Embed(gone, []string{"a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
