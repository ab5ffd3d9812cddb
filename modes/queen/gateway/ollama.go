package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// ollamaRequest is the body of both.
type ollamaRequest struct {
	Model    string `json:"model"`
	Stream   *bool  `json:"stream"` // nil is true
	Messages []struct {
		Role      string           `json:"role"`
		Content   string           `json:"content"`
		Thinking  string           `json:"thinking"`
		Images    []string         `json:"images"` // base64
		ToolCalls []ollamaToolCall `json:"tool_calls"`
		ToolName  string           `json:"tool_name"`
	} `json:"messages"`
	Think    json.RawMessage `json:"think"`      // true, false, or how much
	Keep     json.RawMessage `json:"keep_alive"` // seconds, or a text as 5m
	Prompt   string          `json:"prompt"`
	Suffix   string          `json:"suffix"`
	System   string          `json:"system"`
	Images   []string        `json:"images"`
	Raw      bool            `json:"raw"`
	Template string          `json:"template"` // in place of the model's own
	Context  json.RawMessage `json:"context"`  // a conversation, as tokens
	Tools    []tool          `json:"tools"`
	Format   json.RawMessage `json:"format"` // "json" or a schema
	Options  struct {
		Temperature *float64     `json:"temperature"`
		TopP        *float64     `json:"top_p"`
		TopK        *wholeNumber `json:"top_k"`
		MinP        *float64     `json:"min_p"`
		Seed        *wholeNumber `json:"seed"`
		Predict     *wholeNumber `json:"num_predict"`
		Stop        []string     `json:"stop"`

		// What llama.cpp takes by the same names.
		RepeatPenalty    *float64     `json:"repeat_penalty"`
		RepeatLastN      *wholeNumber `json:"repeat_last_n"`
		PresencePenalty  *float64     `json:"presence_penalty"`
		FrequencyPenalty *float64     `json:"frequency_penalty"`
		TypicalP         *float64     `json:"typical_p"`
		Mirostat         *wholeNumber `json:"mirostat"`
		MirostatTau      *float64     `json:"mirostat_tau"`
		MirostatEta      *float64     `json:"mirostat_eta"`
	} `json:"options"`
}

// wholeNumber is an integer that may be written as 4.0: clients do whose language has
// one kind of numbers, and Ollama takes it.
type wholeNumber int

// UnmarshalJSON takes both forms.
func (n *wholeNumber) UnmarshalJSON(text []byte) error {
	if f, err := strconv.ParseFloat(string(text), 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		*n = wholeNumber(f)
		return nil
	}
	return json.Unmarshal(text, (*int)(n))
}

type ollamaToolCall struct {
	Function struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"` // an object
	} `json:"function"`
}

// serveOllama answers Ollama's API.
func (g *Gateway) serveOllama(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /api/tags":
		g.serveTags(w, r)
	case "GET /api/ps":
		g.servePS(w, r)
	case "POST /api/show":
		g.serveShow(w, r)
	case "GET /api/version":
		tell(w, map[string]string{"version": ollamaVersion})
	case "POST /api/embed", "POST /api/embeddings":
		g.serveEmbed(w, r)
	case "POST /api/chat", "POST /api/generate":
		g.serveTalk(w, r)
	default:
		status, e := noneOfOllama(r)
		Refuse(w, r, status, e)
	}
}

// noneOfOllama is the refusal of a request that there is not, and its status.
func noneOfOllama(r *http.Request) (status int, e *ops.Error) {
	e = ops.Errorf(ops.CodeNotFound, "rbee has no %s %s", r.Method, r.URL.Path)
	switch strings.TrimPrefix(r.URL.Path, "/api/") {
	case "tags", "ps", "version":
		return http.StatusMethodNotAllowed, e.WithHint("ask by GET")
	case "show", "embed", "embeddings", "chat", "generate":
		return http.StatusMethodNotAllowed, e.WithHint("ask by POST")
	case "pull", "push", "create", "copy", "delete":
		return http.StatusNotFound, e.WithHint("models are brought and removed by `rbee model download` and `rbee model delete`")
	default:
		return http.StatusNotFound, e.WithHint("there are chat, generate, embed, embeddings, tags, show, ps and version")
	}
}

// ollamaVersion is that of the API that is answered.
const ollamaVersion = "0.9.0"

func (g *Gateway) serveTalk(w http.ResponseWriter, r *http.Request) {
	var o ollamaRequest
	if !readOllama(w, r, &o) {
		return
	}
	d := &ollama{model: o.Model, generate: r.URL.Path == "/api/generate", began: time.Now()}
	o.Model = g.ollamaName(r.Context(), o.Model)
	unloads, err := unloads(o.Keep)
	if err != nil {
		refuse(w, d, err)
		return
	}
	if d.generate && o.Prompt == "" && len(o.Images) == 0 || !d.generate && len(o.Messages) == 0 {
		g.serveNothing(w, r, o.Model, unloads, d)
		return
	}
	body, path := o.openAI(d.generate)
	if err = o.untold(d.generate); err == nil {
		d.silent, err = g.think(r.Context(), o, body)
	}
	if err != nil {
		refuse(w, d, err)
		return
	}
	g.translate(w, r, path, body, d)
	if unloads {
		g.unload(context.WithoutCancel(r.Context()), o.Model) // also where the client has gone
	}
}

// untold refuses what OpenAI's API has no words for: without it the answer would be
// to another question.
func (o ollamaRequest) untold(generate bool) error {
	const raw = "does not go with raw: the prompt is all that the model is given"
	var tokens []json.RawMessage
	switch {
	case o.Suffix != "":
		return ops.Invalid("suffix", "is not taken here: no text is put between two")
	case !generate: // which has none of the following
	case o.Template != "":
		return ops.Invalid("template", "is not taken here: the model's own is used").
			WithHint("with raw, the prompt goes to the model as it is, and can follow any template")
	case len(o.Context) > 0 && (json.Unmarshal(o.Context, &tokens) != nil || len(tokens) > 0):
		return ops.Invalid("context", "is not taken here").WithHint("send the conversation as the messages of /api/chat")
	case o.Raw && len(o.Images) > 0:
		return ops.Invalid("images", "%s", raw)
	case o.Raw && o.System != "":
		return ops.Invalid("system", "%s", raw)
	}
	if f := string(o.Format); strings.HasPrefix(f, `"`) && f != `""` && f != `"json"` {
		return ops.Invalid("format", `must be "json" or a schema, got %s`, f)
	}
	return nil
}

// think has the model think or not, as the request says; one that cannot is not asked
// to. Where it shall not, what it thinks all the same is left out: silent.
func (g *Gateway) think(ctx context.Context, o ollamaRequest, body map[string]any) (silent bool, err error) {
	t, err := o.thinks()
	if err != nil || t.asked == nil {
		return false, err
	}
	able, told := g.able(ctx, o.Model, ops.AbilityThinking)
	switch _, chat := body["messages"]; {
	case *t.asked && told && !able:
		return false, ops.Invalid("think", "%q does not support thinking", o.Model)
	case *t.asked && !chat:
		return false, ops.Invalid("think", "goes with a chat template, which raw leaves out")
	case chat:
		t.put(body)
	}
	return !*t.asked, nil
}

// readOllama decodes a body, or answers that it cannot.
func readOllama(w http.ResponseWriter, r *http.Request, into any) bool {
	body, err := readBody(w, r)
	if err == nil {
		err = decode(body, into)
	}
	if err != nil {
		refuse(w, &ollama{}, err)
		return false
	}
	return true
}

// ollamaName is what a model is called here that Ollama's clients call so. One on
// Hugging Face is written in rbee's way.
func (g *Gateway) ollamaName(ctx context.Context, model string) string {
	for _, host := range []string{"hf.co/", "huggingface.co/"} {
		if repository, ok := strings.CutPrefix(model, host); ok {
			model = "hf:" + repository
		}
	}
	return g.untagged(ctx, model)
}

// openAI is the request in OpenAI's words, and the route that takes it.
func (o ollamaRequest) openAI(generate bool) (body map[string]any, path string) {
	body = map[string]any{"stream": o.Stream == nil || *o.Stream}
	putModel(body, o.Model)
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
	list = append(list, o.conversation()...)
	body["messages"] = list
	if len(o.Tools) > 0 {
		body["tools"] = o.Tools
	}
	return body, "/v1/chat/completions"
}

// conversation is the messages in OpenAI's words. There a tool's result names
// the call it answers, here at most the tool: the oldest call of that tool that
// has no answer yet is meant.
func (o ollamaRequest) conversation() []message {
	var list []message
	var open []toolCall
	for _, m := range o.Messages {
		out := message{Role: m.Role, Content: withImages(m.Content, m.Images), Reasoning: m.Thinking}
		for i, c := range m.ToolCalls {
			call := toolCall{
				Index: i, ID: fmt.Sprintf("call_%d_%d", len(list), i), Type: "function",
				Function: function{Name: c.Function.Name, Arguments: string(c.Function.Arguments)},
			}
			out.ToolCalls, open = append(out.ToolCalls, call), append(open, call)
		}
		if m.Role == "tool" {
			i := slices.IndexFunc(open, func(c toolCall) bool { return m.ToolName == "" || c.Function.Name == m.ToolName })
			out.ToolCallID = m.ToolName
			if i >= 0 {
				out.ToolCallID = open[i].ID
				open = slices.Delete(open, i, i+1)
			}
		}
		list = append(list, out)
	}
	return list
}

// settings puts those that were given into body under OpenAI's names.
func (o ollamaRequest) settings(body map[string]any) {
	put(body, "temperature", o.Options.Temperature)
	put(body, "top_p", o.Options.TopP)
	put(body, "top_k", o.Options.TopK)
	put(body, "min_p", o.Options.MinP)
	put(body, "seed", o.Options.Seed)
	put(body, "repeat_penalty", o.Options.RepeatPenalty)
	put(body, "repeat_last_n", o.Options.RepeatLastN)
	put(body, "presence_penalty", o.Options.PresencePenalty)
	put(body, "frequency_penalty", o.Options.FrequencyPenalty)
	put(body, "typical_p", o.Options.TypicalP)
	put(body, "mirostat", o.Options.Mirostat)
	put(body, "mirostat_tau", o.Options.MirostatTau)
	put(body, "mirostat_eta", o.Options.MirostatEta)
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
		body["response_format"] = ofSchema(o.Format)
	}
}

// ofSchema is the response_format of answers that have that schema.
func ofSchema(schema json.RawMessage) any {
	return map[string]any{"type": "json_schema", "json_schema": map[string]any{"name": "answer", "schema": schema}}
}

// put sets a member that was given.
func put[T any](body map[string]any, name string, value *T) {
	if value != nil {
		body[name] = *value
	}
}

// putModel names the model, where one was named: engines answer with an empty name
// to an empty name.
func putModel(body map[string]any, model string) {
	if model != "" {
		body["model"] = model
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
