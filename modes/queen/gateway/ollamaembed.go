package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"time"
)

// serveEmbed answers /api/embed, and /api/embeddings, which it replaced.
func (g *Gateway) serveEmbed(w http.ResponseWriter, r *http.Request) {
	var o struct {
		Model      string          `json:"model"`
		Input      json.RawMessage `json:"input"`      // a text or a list of them, as OpenAI has it
		Prompt     json.RawMessage `json:"prompt"`     // the text of /api/embeddings
		Dimensions int             `json:"dimensions"` // of the vectors of /api/embed; 0 is all
		Keep       json.RawMessage `json:"keep_alive"`
	}
	if !readOllama(w, r, &o) {
		return
	}
	d := &ollamaEmbed{ollama: ollama{model: o.Model, began: time.Now()}, one: r.URL.Path == "/api/embeddings"}
	o.Model = g.ollamaName(r.Context(), o.Model)
	unloads, err := unloads(o.Keep)
	if err != nil {
		refuse(w, d, err)
		return
	}
	if d.one {
		o.Input = o.Prompt
	} else {
		d.dimensions = o.Dimensions
	}
	body := map[string]any{"input": o.Input}
	putModel(body, o.Model)
	g.translate(w, r, "/v1/embeddings", body, d)
	if unloads {
		g.unload(context.WithoutCancel(r.Context()), o.Model) // also where the client has gone
	}
}

// ollamaEmbed is the dialect of Ollama's embed, which has no stream.
type ollamaEmbed struct {
	ollama
	one        bool // one vector is asked for
	dimensions int  // of each vector, at most; 0 is all
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
		short, err := shorten(v.Embedding, o.dimensions)
		if err != nil {
			return nil, err
		}
		list = append(list, short)
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

// shorten cuts a vector to so many dimensions and gives it the length 1 again, as Ollama
// does by itself: not every engine can.
func shorten(vector json.RawMessage, dimensions int) (json.RawMessage, error) {
	if dimensions <= 0 {
		return vector, nil
	}
	var list []float32
	if err := json.Unmarshal(vector, &list); err != nil {
		return nil, err
	}
	if dimensions >= len(list) {
		return vector, nil
	}
	list = list[:dimensions]
	sum := 0.0
	for _, x := range list {
		sum += float64(x) * float64(x)
	}
	if sum > 0 {
		for i, x := range list {
			list[i] = float32(float64(x) / math.Sqrt(sum))
		}
	}
	return marshal(list), nil
}
