package openai_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"rbee.dev/rbee/inference/openai"
	"rbee.dev/rbee/ops"
)

// measures gives each text the vector of its length and its number of e's.
type measures struct {
	says
	err error
}

func (m *measures) Embed(_ context.Context, texts []string) ([][]float32, int, error) {
	var list [][]float32
	for _, t := range texts {
		list = append(list, []float32{float32(len(t)), float32(strings.Count(t, "e"))})
	}
	return list, len(texts), m.err
}

func TestEmbeddingsComeInOrder(t *testing.T) {
	status, body := post(t, &measures{}, "/v1/embeddings", `{"model":"m","input":["bee","eel!"]}`)
	var answer struct {
		Data []struct {
			Index     int
			Embedding []float32
		}
		Usage struct {
			PromptTokens int `json:"prompt_tokens"`
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	if len(answer.Data) != 2 || answer.Data[1].Index != 1 || answer.Data[1].Embedding[0] != 4 || answer.Data[0].Embedding[1] != 2 {
		t.Errorf("got %+v", answer)
	}
	if answer.Usage.PromptTokens != 2 {
		t.Errorf("usage %+v", answer.Usage)
	}
}

func TestEmbeddingsAsBase64(t *testing.T) {
	_, body := post(t, &measures{}, "/v1/embeddings", `{"input":"bee","encoding_format":"base64"}`)
	var answer struct{ Data []struct{ Embedding string } }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	raw, err := base64.StdEncoding.DecodeString(answer.Data[0].Embedding)
	if err != nil || len(raw) != 8 {
		t.Fatalf("%q: %v", answer.Data[0].Embedding, err)
	}
	if got := math.Float32frombits(binary.LittleEndian.Uint32(raw)); got != 3 {
		t.Errorf("first number %v, want 3", got)
	}
}

func TestEmbeddingsThatAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		g          openai.Generator
		status     int
		want       string
	}{
		{"no input", `{}`, &measures{}, 400, "input"},
		{"tokens as input", `{"input":[1,2]}`, &measures{}, 400, "input"},
		{"a format that is none", `{"input":"a","encoding_format":"int8"}`, &measures{}, 400, "encoding_format"},
		{"a dimension", `{"input":"a","dimensions":3}`, &measures{}, 400, "dimensions"},
		{"too large", `{"input":"` + strings.Repeat("x", 16<<20) + `"}`, &measures{}, 413, "larger than 16 MiB"},
		{"not JSON", `{`, &measures{}, 400, "not JSON"},
		{"an engine without", `{"input":"a"}`, &says{}, 501, "no embeddings"},
		{"an engine that fails", `{"input":"a"}`, &measures{err: ops.Errorf(ops.CodeUnavailable, "gone")}, 503, "gone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body := post(t, tt.g, "/v1/embeddings", tt.body)
			if status != tt.status || !strings.Contains(body, tt.want) {
				t.Errorf("%d %s, want %d with %q", status, body, tt.status, tt.want)
			}
		})
	}
}
