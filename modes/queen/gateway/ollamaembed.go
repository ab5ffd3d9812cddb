package gateway

import (
	"cmp"
	"encoding/json"
	"net/http"
	"time"
)

// serveEmbed answers /api/embed, and /api/embeddings, which it replaced.
func (g *Gateway) serveEmbed(w http.ResponseWriter, r *http.Request) {
	var o struct {
		Model  string          `json:"model"`
		Input  json.RawMessage `json:"input"`  // a text or a list of them, as OpenAI has it
		Prompt json.RawMessage `json:"prompt"` // the text of /api/embeddings
	}
	if !readOllama(w, r, &o) {
		return
	}
	d := &ollamaEmbed{ollama: ollama{model: o.Model, began: time.Now()}, one: r.URL.Path == "/api/embeddings"}
	o.Model = g.ollamaName(r.Context(), o.Model)
	if d.one {
		o.Input = o.Prompt
	}
	body := map[string]any{"input": o.Input}
	putModel(body, o.Model)
	g.translate(w, r, "/v1/embeddings", body, d)
}

// ollamaEmbed is the dialect of Ollama's embed, which has no stream.
type ollamaEmbed struct {
	ollama
	one bool // one vector is asked for
}

func (o *ollamaEmbed) whole(text []byte) ([]byte, error) {
	var vectors struct {
		Model string `json:"model"`
		Data  []struct {
			Embedding json.RawMessage `json:"embedding"`
		} `json:"data"`
		Usage usage `json:"usage"`
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		return nil, err
	}
	list := []json.RawMessage{}
	for _, v := range vectors.Data {
		list = append(list, v.Embedding)
	}
	if o.one {
		first := json.RawMessage("[]")
		if len(list) > 0 {
			first = list[0]
		}
		return marshal(map[string]json.RawMessage{"embedding": first}), nil
	}
	return marshal(map[string]any{
		"model": cmp.Or(o.model, vectors.Model), "embeddings": list, "total_duration": time.Since(o.began).Nanoseconds(), "prompt_eval_count": vectors.Usage.PromptTokens,
	}), nil
}
