package gateway

import (
	"encoding/json"
	"net/http"
	"strings"

	"rbee.dev/rbee/ops"
)

// anthropic is the dialect of Anthropic's messages (its API reference,
// "Messages" and "Streaming messages").
type anthropic struct {
	model  string
	begun  bool
	block  int  // the number of the block that is open
	open   bool // a block is
	tools  map[int]bool
	usage  usage
	reason string
}

// anthropicRequest is the body.
type anthropicRequest struct {
	Model         string             `json:"model"`
	MaxTokens     int                `json:"max_tokens"`
	System        anthropicContent   `json:"system"`
	Messages      []anthropicMessage `json:"messages"`
	StopSequences []string           `json:"stop_sequences"`
	Temperature   *float64           `json:"temperature"`
	TopP          *float64           `json:"top_p"`
	TopK          *int               `json:"top_k"`
	Stream        bool               `json:"stream"`
	Tools         []struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Schema      json.RawMessage `json:"input_schema"`
	} `json:"tools"`
	ToolChoice *struct {
		Type string `json:"type"` // auto, any, tool, none
		Name string `json:"name"`
	} `json:"tool_choice"`
}

type anthropicMessage struct {
	Role    string           `json:"role"`
	Content anthropicContent `json:"content"`
}

// anthropicContent is a list of blocks; a text stands for a list of one.
type anthropicContent []anthropicBlock

type anthropicBlock struct {
	Type      string           `json:"type"`
	Text      string           `json:"text"`
	ID        string           `json:"id"`
	Name      string           `json:"name"`
	Input     json.RawMessage  `json:"input"`
	ToolUseID string           `json:"tool_use_id"`
	Content   anthropicContent `json:"content"`
	Source    struct {
		Type, Data, URL string
		MediaType       string `json:"media_type"`
	} `json:"source"`
}

// UnmarshalJSON takes both forms.
func (c *anthropicContent) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		*c = anthropicContent{{Type: "text"}}
		return json.Unmarshal(text, &(*c)[0].Text)
	}
	return json.Unmarshal(text, (*[]anthropicBlock)(c))
}

// text is the blocks' text.
func (c anthropicContent) text() string {
	var b strings.Builder
	for _, block := range c {
		b.WriteString(block.Text)
	}
	return b.String()
}

func (g *Gateway) serveAnthropic(w http.ResponseWriter, r *http.Request) {
	var a anthropicRequest
	body, err := readBody(w, r)
	if err == nil {
		if decoded := json.Unmarshal(body, &a); decoded != nil {
			err = ops.Invalid("", "the body is not what this route takes: %w", decoded)
		}
	}
	if err == nil && a.MaxTokens < 1 {
		err = ops.Invalid("max_tokens", "must be at least 1")
	}
	d := &anthropic{model: a.Model, tools: map[int]bool{}}
	if err != nil {
		status, f := failureOf(err)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(d.failure(f.Error, false)) // the client may be gone
		return
	}
	g.translate(w, r, "/v1/chat/completions", a.openAI(), d)
}

// openAI is the request in OpenAI's words.
func (a anthropicRequest) openAI() map[string]any {
	var list []message
	if system := a.System.text(); system != "" {
		list = append(list, message{Role: "system", Content: system})
	}
	for _, m := range a.Messages {
		list = append(list, m.openAI()...)
	}
	body := map[string]any{"model": a.Model, "max_tokens": a.MaxTokens, "messages": list, "stream": a.Stream}
	if a.Stream {
		body["stream_options"] = map[string]bool{"include_usage": true}
	}
	put(body, "temperature", a.Temperature)
	put(body, "top_p", a.TopP)
	put(body, "top_k", a.TopK)
	if len(a.StopSequences) > 0 {
		body["stop"] = a.StopSequences
	}
	var tools []tool
	for _, t := range a.Tools {
		tools = append(tools, tool{"function", function{Name: t.Name, Description: t.Description, Parameters: t.Schema}})
	}
	if len(tools) > 0 {
		body["tools"] = tools
	}
	if c := a.ToolChoice; c != nil {
		body["tool_choice"] = map[string]any{"any": "required", "none": "none", "auto": "auto"}[c.Type]
		if c.Type == "tool" {
			body["tool_choice"] = map[string]any{"type": "function", "function": map[string]string{"name": c.Name}}
		}
	}
	return body
}

// openAI is the message in OpenAI's words: the results of tools are messages of
// their own there.
func (m anthropicMessage) openAI() []message {
	var results []message
	out := message{Role: m.Role}
	var parts []map[string]any
	images := false
	for _, b := range m.Content {
		switch b.Type {
		case "text":
			parts = append(parts, map[string]any{"type": "text", "text": b.Text})
		case "image":
			url := b.Source.URL
			if b.Source.Type == "base64" {
				url = "data:" + b.Source.MediaType + ";base64," + b.Source.Data
			}
			images = true
			parts = append(parts, map[string]any{"type": "image_url", "image_url": map[string]string{"url": url}})
		case "tool_use":
			out.ToolCalls = append(out.ToolCalls, toolCall{
				Index: len(out.ToolCalls), ID: b.ID, Type: "function", Function: function{Name: b.Name, Arguments: string(b.Input)},
			})
		case "tool_result":
			results = append(results, message{Role: "tool", Content: b.Content.text(), ToolCallID: b.ToolUseID})
		}
	}
	switch {
	case images:
		out.Content = parts
	case len(parts) > 0:
		out.Content = m.Content.text()
	case len(out.ToolCalls) == 0:
		return results
	}
	return append(results, out)
}

func (*anthropic) contentType() string { return "text/event-stream" }

// event is one event of the stream.
func event(kind string, data map[string]any) []byte {
	data["type"] = kind
	return append(append([]byte("event: "+kind+"\ndata: "), marshal(data)...), "\n\n"...)
}

func (a *anthropic) start(id string) []byte {
	if a.begun {
		return nil
	}
	a.begun = true
	return event("message_start", map[string]any{"message": map[string]any{
		"id": "msg_" + id, "type": "message", "role": "assistant", "model": a.model, "content": []any{},
		"stop_reason": nil, "stop_sequence": nil, "usage": map[string]int{"input_tokens": 0, "output_tokens": 0},
	}})
}

func (a *anthropic) piece(c chunk) []byte {
	out := a.start(c.ID)
	if c.Usage != nil {
		a.usage = *c.Usage
	}
	for _, choice := range c.Choices {
		if choice.FinishReason != "" {
			a.reason = choice.FinishReason
		}
		if text := choice.Delta.text(); text != "" {
			if !a.open || len(a.tools) > 0 {
				out = append(out, a.next(map[string]any{"type": "text", "text": ""})...)
			}
			out = append(out, event("content_block_delta", map[string]any{"index": a.block, "delta": map[string]any{"type": "text_delta", "text": text}})...)
		}
		for _, call := range choice.Delta.ToolCalls {
			out = append(out, a.call(call)...)
		}
	}
	return out
}

// call translates a piece of a tool call; its first opens a block.
func (a *anthropic) call(c toolCall) []byte {
	var out []byte
	if !a.tools[c.Index] {
		a.tools[c.Index] = true
		out = a.next(map[string]any{"type": "tool_use", "id": c.ID, "name": c.Function.Name, "input": map[string]any{}})
	}
	if c.Function.Arguments != "" {
		out = append(out, event("content_block_delta", map[string]any{"index": a.block, "delta": map[string]any{"type": "input_json_delta", "partial_json": c.Function.Arguments}})...)
	}
	return out
}

// next closes the block that is open and opens another.
func (a *anthropic) next(block map[string]any) []byte {
	out := a.closeBlock()
	a.open = true
	return append(out, event("content_block_start", map[string]any{"index": a.block, "content_block": block})...)
}

func (a *anthropic) closeBlock() []byte {
	if !a.open {
		return nil
	}
	a.open = false
	out := event("content_block_stop", map[string]any{"index": a.block})
	a.block++
	return out
}

func (a *anthropic) end() []byte {
	out := append(a.start("0"), a.closeBlock()...)
	out = append(out, event("message_delta", map[string]any{
		"delta": map[string]any{"stop_reason": stopReason(a.reason), "stop_sequence": nil},
		"usage": map[string]int{"input_tokens": a.usage.PromptTokens, "output_tokens": a.usage.CompletionTokens},
	})...)
	return append(out, event("message_stop", map[string]any{})...)
}

// stopReason is OpenAI's finish_reason in Anthropic's words.
func stopReason(finish string) string {
	switch finish {
	case "length":
		return "max_tokens"
	case "tool_calls":
		return "tool_use"
	}
	return "end_turn"
}

func (a *anthropic) whole(text []byte) ([]byte, error) {
	var c chunk
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	content := []map[string]any{}
	for _, choice := range c.Choices {
		a.reason = choice.FinishReason
		if said := choice.Message.text(); said != "" {
			content = append(content, map[string]any{"type": "text", "text": said})
		}
		for _, call := range choice.Message.ToolCalls {
			input := json.RawMessage(call.Function.Arguments)
			if !json.Valid(input) {
				input = json.RawMessage("{}")
			}
			content = append(content, map[string]any{"type": "tool_use", "id": call.ID, "name": call.Function.Name, "input": input})
		}
	}
	if c.Usage != nil {
		a.usage = *c.Usage
	}
	return marshal(map[string]any{
		"id": "msg_" + c.ID, "type": "message", "role": "assistant", "model": a.model, "content": content,
		"stop_reason": stopReason(a.reason), "stop_sequence": nil,
		"usage": map[string]int{"input_tokens": a.usage.PromptTokens, "output_tokens": a.usage.CompletionTokens},
	}), nil
}

func (*anthropic) failure(f failureBody, inStream bool) []byte {
	kind := "api_error"
	switch {
	case f.Code == "model_not_found":
		kind = "not_found_error"
	case f.Type == "invalid_request_error":
		kind = "invalid_request_error"
	case f.Code == string(ops.CodeUnavailable):
		kind = "overloaded_error"
	}
	body := map[string]any{"error": map[string]string{"type": kind, "message": f.Message}}
	if inStream {
		return event("error", body)
	}
	body["type"] = "error"
	return marshal(body)
}
