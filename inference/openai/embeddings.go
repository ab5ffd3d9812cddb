package openai

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"net/http"

	"rbee.dev/rbee/ops"
)

// Embedder is a [Generator] that can turn texts into vectors as well.
type Embedder interface {
	// Embed returns a vector of length 1 for each text, all of one dimension,
	// and how many tokens the texts were.
	Embed(ctx context.Context, texts []string) (vectors [][]float32, tokens int, err error)
}

// mostInputs bounds the texts of one call, as OpenAI does.
const mostInputs = 2048

// embedCall is the body of /v1/embeddings.
type embedCall struct {
	Model          string          `json:"model"`
	Input          json.RawMessage `json:"input"`
	EncodingFormat string          `json:"encoding_format"` // float (default) or base64
	Dimensions     *int            `json:"dimensions"`      // refused: the model's are what they are
}

// embeddings is the answer to it.
type embeddings struct {
	Object string      `json:"object"`
	Data   []embedding `json:"data"`
	Model  string      `json:"model"`
	Usage  embedUsage  `json:"usage"`
}

type embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // []float32, or a string of base64
}

type embedUsage struct {
	PromptTokens int `json:"prompt_tokens"`
	TotalTokens  int `json:"total_tokens"`
}

func (h *Handler) embed(w http.ResponseWriter, r *http.Request) {
	answer, err := h.embedded(w, r)
	if err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (h *Handler) embedded(w http.ResponseWriter, r *http.Request) (*embeddings, error) {
	embedder, ok := h.generator.(Embedder)
	if !ok {
		return nil, ops.Errorf(ops.CodeUnsupported, "this engine makes no embeddings")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, unread(err)
	}
	c, list, err := decodeEmbedCall(body)
	if err != nil {
		return nil, err
	}
	vectors, tokens, err := embedder.Embed(r.Context(), list)
	if err != nil {
		return nil, err
	}
	answer := &embeddings{Object: "list", Model: h.model, Usage: embedUsage{tokens, tokens}, Data: make([]embedding, len(vectors))}
	for i, v := range vectors {
		answer.Data[i] = embedding{Object: "embedding", Index: i, Embedding: v}
		if c.EncodingFormat == "base64" {
			answer.Data[i].Embedding = packed(v)
		}
	}
	return answer, nil
}

func decodeEmbedCall(body []byte) (c embedCall, list []string, err error) {
	if err := decode(body, &c); err != nil {
		return c, nil, err
	}
	if list, err = texts(c.Input, "input", mostInputs); err != nil {
		return c, nil, err
	}
	switch {
	case len(list) == 0:
		return c, nil, ops.Invalid("input", "must be a text or a list of texts that is not empty")
	case c.EncodingFormat != "" && c.EncodingFormat != "float" && c.EncodingFormat != "base64":
		return c, nil, ops.Invalid("encoding_format", "must be float or base64, got %q", c.EncodingFormat)
	case c.Dimensions != nil:
		return c, nil, ops.Invalid("dimensions", "cannot be chosen: this engine's vectors have the model's own")
	}
	return c, list, nil
}

// packed is the vector as base64 of little-endian floats, which is what
// OpenAI's clients ask for by default.
func packed(v []float32) string {
	raw := make([]byte, 0, 4*len(v))
	for _, f := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
	}
	return base64.StdEncoding.EncodeToString(raw)
}
