package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// ollama is the dialect of Ollama's chat and generate (its docs/api.md): a
// stream of JSON lines.
type ollama struct {
	model    string
	generate bool // of /api/generate, whose text is not in a message
	began    time.Time
	first    time.Time // when the first piece came
	usage    usage
	reason   string
	calls    []toolCall
}

// ollamaRequest is the body of both.
type ollamaRequest struct {
	Model    string `json:"model"`
	Stream   *bool  `json:"stream"` // nil is true
	Messages []struct {
		Role      string           `json:"role"`
		Content   string           `json:"content"`
		Images    []string         `json:"images"` // base64
		ToolCalls []ollamaToolCall `json:"tool_calls"`
		ToolName  string           `json:"tool_name"`
	} `json:"messages"`
	Prompt  string          `json:"prompt"`
	System  string          `json:"system"`
	Images  []string        `json:"images"`
	Raw     bool            `json:"raw"`
	Tools   []tool          `json:"tools"`
	Format  json.RawMessage `json:"format"` // "json" or a schema
	Options struct {
		Temperature *float64 `json:"temperature"`
		TopP        *float64 `json:"top_p"`
		TopK        *int     `json:"top_k"`
		MinP        *float64 `json:"min_p"`
		Seed        *int     `json:"seed"`
		Predict     *int     `json:"num_predict"`
		Stop        []string `json:"stop"`
	} `json:"options"`
}

type ollamaToolCall struct {
	Function struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"` // an object
	} `json:"function"`
}

type ollamaMessage struct {
	Role      string           `json:"role"`
	Content   string           `json:"content"`
	ToolCalls []ollamaToolCall `json:"tool_calls,omitempty"`
}

// ollamaAnswer is a line of a stream, or the whole answer. Times are in
// nanoseconds.
type ollamaAnswer struct {
	Model      string         `json:"model"`
	CreatedAt  time.Time      `json:"created_at"`
	Message    *ollamaMessage `json:"message,omitempty"`
	Response   *string        `json:"response,omitempty"`
	Done       bool           `json:"done"`
	DoneReason string         `json:"done_reason,omitempty"`
	Total      int64          `json:"total_duration,omitempty"`
	Prompted   int            `json:"prompt_eval_count,omitempty"`
	PromptTime int64          `json:"prompt_eval_duration,omitempty"`
	Made       int            `json:"eval_count,omitempty"`
	MadeTime   int64          `json:"eval_duration,omitempty"`
}

// serveOllama answers Ollama's API.
func (g *Gateway) serveOllama(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/api/tags":
		g.serveTags(w, r)
	case "/api/version":
		tell(w, map[string]string{"version": "0.6.4"}) // whose API this is
	case "/api/embed":
		g.serveEmbed(w, r)
	default:
		g.serveTalk(w, r)
	}
}

func (g *Gateway) serveTalk(w http.ResponseWriter, r *http.Request) {
	var o ollamaRequest
	if !readOllama(w, r, &o) {
		return
	}
	o.Model = untagged(o.Model)
	d := &ollama{model: o.Model, generate: r.URL.Path == "/api/generate", began: time.Now()}
	body, path := o.openAI(d.generate)
	g.translate(w, r, path, body, d)
}

// readOllama decodes a body, or answers that it cannot.
func readOllama(w http.ResponseWriter, r *http.Request, into any) bool {
	body, err := readBody(w, r)
	if err == nil && json.Unmarshal(body, into) != nil {
		err = ops.Invalid("", "the body is not what this route takes")
	}
	if err != nil {
		status, f := failureOf(err)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write((&ollama{}).failure(f.Error, false)) // the client may be gone
		return false
	}
	return true
}

// untagged is a model's name without the tag that Ollama's clients add.
func untagged(model string) string { return strings.TrimSuffix(model, ":latest") }

// openAI is the request in OpenAI's words, and the route that takes it.
func (o ollamaRequest) openAI(generate bool) (body map[string]any, path string) {
	body = map[string]any{"model": o.Model, "stream": o.Stream == nil || *o.Stream}
	if body["stream"] == true {
		body["stream_options"] = map[string]bool{"include_usage": true}
	}
	o.settings(body)
	if generate && o.Raw {
		body["prompt"] = o.Prompt
		return body, "/v1/completions"
	}
	var list []message
	if generate {
		if o.System != "" {
			list = append(list, message{Role: "system", Content: o.System})
		}
		list = append(list, message{Role: "user", Content: withImages(o.Prompt, o.Images)})
	}
	for _, m := range o.Messages {
		out := message{Role: m.Role, Content: withImages(m.Content, m.Images), ToolCallID: m.ToolName}
		for i, c := range m.ToolCalls {
			out.ToolCalls = append(out.ToolCalls, toolCall{
				Index: i, ID: c.Function.Name, Type: "function", Function: function{Name: c.Function.Name, Arguments: string(c.Function.Arguments)},
			})
		}
		list = append(list, out)
	}
	body["messages"] = list
	if len(o.Tools) > 0 {
		body["tools"] = o.Tools
	}
	return body, "/v1/chat/completions"
}

// settings puts those that were given into body under OpenAI's names.
func (o ollamaRequest) settings(body map[string]any) {
	put(body, "temperature", o.Options.Temperature)
	put(body, "top_p", o.Options.TopP)
	put(body, "top_k", o.Options.TopK)
	put(body, "min_p", o.Options.MinP)
	put(body, "seed", o.Options.Seed)
	if n := o.Options.Predict; n != nil && *n > 0 { // -1 is no bound
		body["max_tokens"] = *n
	}
	if len(o.Options.Stop) > 0 {
		body["stop"] = o.Options.Stop
	}
	switch {
	case len(o.Format) == 0 || string(o.Format) == `""` || string(o.Format) == "null":
	case string(o.Format) == `"json"`:
		body["response_format"] = map[string]any{"type": "json_object"}
	default:
		body["response_format"] = map[string]any{"type": "json_schema", "json_schema": map[string]any{"name": "answer", "schema": o.Format}}
	}
}

// put sets a member that was given.
func put[T any](body map[string]any, name string, value *T) {
	if value != nil {
		body[name] = *value
	}
}

// withImages is the content of a message, as parts when there are images.
func withImages(text string, images []string) any {
	if len(images) == 0 {
		return text
	}
	parts := []map[string]any{{"type": "text", "text": text}}
	for _, i := range images {
		parts = append(parts, map[string]any{"type": "image_url", "image_url": map[string]string{"url": "data:image/png;base64," + i}})
	}
	return parts
}

func (*ollama) contentType() string { return "application/x-ndjson" }

func (o *ollama) piece(c chunk) []byte {
	if c.Usage != nil {
		o.usage = *c.Usage
	}
	var out []byte
	for _, choice := range c.Choices {
		if choice.FinishReason != "" {
			o.reason = choice.FinishReason
		}
		o.collect(choice.Delta.ToolCalls)
		text := choice.Text + choice.Delta.text()
		if text == "" {
			continue
		}
		if o.first.IsZero() {
			o.first = time.Now()
		}
		out = append(append(out, marshal(o.answer(text, nil))...), '\n')
	}
	return out
}

// collect puts the pieces of tool calls together: here they come whole.
func (o *ollama) collect(pieces []toolCall) {
	for _, p := range pieces {
		for p.Index >= len(o.calls) && p.Index < 128 {
			o.calls = append(o.calls, toolCall{})
		}
		if p.Index < 0 || p.Index >= len(o.calls) {
			continue
		}
		o.calls[p.Index].Function.Name += p.Function.Name
		o.calls[p.Index].Function.Arguments += p.Function.Arguments
	}
}

func (o *ollama) answer(text string, calls []toolCall) ollamaAnswer {
	a := ollamaAnswer{Model: o.model, CreatedAt: time.Now().UTC()}
	if o.generate {
		a.Response = &text
		return a
	}
	a.Message = &ollamaMessage{Role: "assistant", Content: text}
	for _, c := range calls {
		var out ollamaToolCall
		out.Function.Name, out.Function.Arguments = c.Function.Name, json.RawMessage(c.Function.Arguments)
		if !json.Valid(out.Function.Arguments) {
			out.Function.Arguments = json.RawMessage("{}")
		}
		a.Message.ToolCalls = append(a.Message.ToolCalls, out)
	}
	return a
}

// last is the answer with which all is done.
func (o *ollama) last(a ollamaAnswer) ollamaAnswer {
	now := time.Now()
	if o.first.IsZero() {
		o.first = now
	}
	a.Done, a.DoneReason = true, "stop"
	if o.reason == "length" {
		a.DoneReason = "length"
	}
	a.Total, a.PromptTime, a.MadeTime = now.Sub(o.began).Nanoseconds(), o.first.Sub(o.began).Nanoseconds(), now.Sub(o.first).Nanoseconds()
	a.Prompted, a.Made = o.usage.PromptTokens, o.usage.CompletionTokens
	return a
}

func (o *ollama) end() []byte {
	var out []byte
	if len(o.calls) > 0 {
		out = append(marshal(o.answer("", o.calls)), '\n')
	}
	return append(append(out, marshal(o.last(o.answer("", nil)))...), '\n')
}

func (o *ollama) whole(text []byte) ([]byte, error) {
	var c chunk
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	if c.Usage != nil {
		o.usage = *c.Usage
	}
	said, calls := "", []toolCall(nil)
	for _, choice := range c.Choices {
		said += choice.Text + choice.Message.text()
		calls = append(calls, choice.Message.ToolCalls...)
		o.reason = choice.FinishReason
	}
	return marshal(o.last(o.answer(said, calls))), nil
}

func (*ollama) failure(f failureBody, inStream bool) []byte {
	text := marshal(map[string]string{"error": f.Message})
	if inStream {
		text = append(text, '\n')
	}
	return text
}

// serveTags lists the models in Ollama's way.
func (g *Gateway) serveTags(w http.ResponseWriter, r *http.Request) {
	type details struct {
		Format       string `json:"format"`
		Family       string `json:"family"`
		Parameters   string `json:"parameter_size"`
		Quantization string `json:"quantization_level"`
	}
	type tag struct {
		Name     string    `json:"name"`
		Model    string    `json:"model"`
		Modified time.Time `json:"modified_at"`
		Size     int64     `json:"size"`
		Digest   string    `json:"digest"`
		Details  details   `json:"details"`
	}
	list, seen := []tag{}, map[string]bool{}
	for _, m := range g.fleet.Models(r.Context()) {
		if m.Error != "" || seen[m.ID] {
			continue
		}
		seen[m.ID] = true
		list = append(list, tag{m.ID, m.ID, m.AddedAt, m.Size, m.SHA256, details{"gguf", m.Architecture, humanCount(m.Parameters), m.Quantization}})
	}
	tell(w, map[string]any{"models": list})
}

// serveEmbed answers /api/embed.
func (g *Gateway) serveEmbed(w http.ResponseWriter, r *http.Request) {
	var o struct {
		Model string          `json:"model"`
		Input json.RawMessage `json:"input"` // a text or a list of them, as OpenAI has it
	}
	if !readOllama(w, r, &o) {
		return
	}
	o.Model = untagged(o.Model)
	g.translate(w, r, "/v1/embeddings", map[string]any{"model": o.Model, "input": o.Input}, &ollamaEmbed{ollama{model: o.Model, began: time.Now()}})
}

// ollamaEmbed is the dialect of Ollama's embed, which has no stream.
type ollamaEmbed struct{ ollama }

func (o *ollamaEmbed) whole(text []byte) ([]byte, error) {
	var vectors struct {
		Data []struct {
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
	return marshal(map[string]any{
		"model": o.model, "embeddings": list, "total_duration": time.Since(o.began).Nanoseconds(), "prompt_eval_count": vectors.Usage.PromptTokens,
	}), nil
}
