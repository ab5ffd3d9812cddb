package gateway

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"rbee.dev/rbee/ops"
)

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
		Type        string          `json:"type"` // custom, or nothing; else one of Anthropic's own
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Schema      json.RawMessage `json:"input_schema"`
	} `json:"tools"`
	MCPServers []json.RawMessage  `json:"mcp_servers"` // of tools that Anthropic's servers call
	Thinking   *anthropicThinking `json:"thinking"`
	Output     struct {
		Effort string           `json:"effort"` // of thinking
		Format *anthropicFormat `json:"format"`
	} `json:"output_config"`
	Format     *anthropicFormat `json:"output_format"` // what Format of Output was called before
	ToolChoice *struct {
		Type string `json:"type"` // auto, any, tool, none
		Name string `json:"name"`
	} `json:"tool_choice"`
}

// anthropicFormat is what the answer's text must be (its API reference, "Structured
// outputs").
type anthropicFormat struct {
	Type   string          `json:"type"` // json_schema
	Schema json.RawMessage `json:"schema"`
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
	Thinking  string           `json:"thinking"`
	ID        string           `json:"id"`
	Name      string           `json:"name"`
	Input     json.RawMessage  `json:"input"`
	ToolUseID string           `json:"tool_use_id"`
	Content   anthropicContent `json:"content"`
	IsError   bool             `json:"is_error"` // of a tool_result
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

// takenBlocks are the kinds of blocks that OpenAI's API has words for.
var takenBlocks = []string{"text", "image", "tool_use", "tool_result", "thinking"}

// UnmarshalJSON reads of a block of another kind no more than what kind it is: its
// members are others, and what is told of it is its kind.
func (b *anthropicBlock) UnmarshalJSON(text []byte) error {
	var of struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(text, &of); err != nil {
		return err
	}
	if !slices.Contains(takenBlocks, of.Type) {
		b.Type = of.Type
		return nil
	}
	type whole anthropicBlock
	return json.Unmarshal(text, (*whole)(b))
}

// check refuses blocks that are not taken at that place of a request.
func (c anthropicContent) check(place string, taken []string) error {
	for _, b := range c {
		if b.Type == "" {
			return ops.Invalid(place, "each block must have a type")
		}
		if !slices.Contains(taken, b.Type) {
			return ops.Invalid(place, "blocks of type %q are not taken here", b.Type).
				WithHint("taken are: %s", strings.Join(taken, ", "))
		}
		if b.Type == "tool_result" {
			if err := b.Content.check(place+" of a tool_result", takenBlocks[:1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// text is the blocks' text.
func (c anthropicContent) text() string {
	var b strings.Builder
	for _, block := range c {
		b.WriteString(block.Text)
	}
	return b.String()
}

// serveAnthropic answers a message, or counts its tokens.
func (g *Gateway) serveAnthropic(w http.ResponseWriter, r *http.Request) {
	var a anthropicRequest
	body, err := readBody(w, r)
	if err == nil {
		err = decode(body, &a)
	}
	count := strings.HasSuffix(r.URL.Path, "/count_tokens")
	if count {
		a.MaxTokens, a.Stream = 1, false
	}
	if err == nil && a.MaxTokens < 1 {
		err = ops.Invalid("max_tokens", "must be given, and be at least 1")
	}
	if err == nil {
		err = a.untold()
	}
	var t thinking
	if err == nil && !count {
		able, _ := g.able(r.Context(), a.Model, ops.AbilityThinking)
		t, err = a.thinks(able)
	}
	d := &anthropic{model: a.Model, tools: map[int]bool{}, thinking: t.asked != nil && *t.asked}
	switch {
	case err != nil:
		refuse(w, d, err)
	case count:
		g.translate(w, r, "/v1/chat/completions", a.openAI(), &anthropicCount{d})
	default:
		body := a.openAI()
		t.put(body)
		g.translate(w, r, "/v1/chat/completions", body, d)
	}
}

// untold refuses what says nothing, and what OpenAI's API has no words for: without that
// the answer would be to another question.
func (a anthropicRequest) untold() error {
	if !slices.ContainsFunc(a.Messages, func(m anthropicMessage) bool { return len(m.Content) > 0 }) {
		return ops.Invalid("messages", "must have at least one message, with content")
	}
	if f := a.format(); f != nil && f.Type != "json_schema" {
		return ops.Invalid("output_config.format.type", "must be json_schema, got %q", f.Type)
	} else if f != nil && (len(f.Schema) == 0 || f.Schema[0] != '{') {
		return ops.Invalid("output_config.format.schema", "must be an object")
	}
	if err := a.foreignTools(); err != nil {
		return err
	}
	for i, m := range a.Messages {
		if err := m.Content.check(fmt.Sprintf("messages.%d.content", i), takenBlocks); err != nil {
			return err
		}
	}
	return a.System.check("system", takenBlocks[:1])
}

// foreignTools refuses the tools that Anthropic's API has by itself: no engine knows
// what they take, and nobody here runs them.
func (a anthropicRequest) foreignTools() error {
	if len(a.MCPServers) > 0 {
		return ops.Invalid("mcp_servers", "are not taken here: nobody here calls their tools").
			WithHint("call them yourself, and give the model their tools with an input_schema")
	}
	for i, t := range a.Tools {
		if t.Type != "" && t.Type != "custom" {
			return ops.Invalid(fmt.Sprintf("tools.%d.type", i), "tools of type %q are not taken here: they are Anthropic's own", t.Type).
				WithHint("tools of yours have an input_schema, and the type custom or none")
		}
	}
	return nil
}

// format is what the answer's text must be, or nil.
func (a anthropicRequest) format() *anthropicFormat { return cmp.Or(a.Output.Format, a.Format) }

// openAI is the request in OpenAI's words.
func (a anthropicRequest) openAI() map[string]any {
	var list []message
	if system := a.System.text(); system != "" {
		list = append(list, message{Role: "system", Content: system})
	}
	for _, m := range a.Messages {
		list = append(list, m.openAI()...)
	}
	body := map[string]any{"max_tokens": a.MaxTokens, "messages": list, "stream": a.Stream}
	putModel(body, a.Model)
	if a.Stream {
		body["stream_options"] = map[string]bool{"include_usage": true}
	}
	put(body, "temperature", a.Temperature)
	put(body, "top_p", a.TopP)
	put(body, "top_k", a.TopK)
	if len(a.StopSequences) > 0 {
		body["stop"], body["verbose"] = a.StopSequences, true // llama.cpp tells only then which it was
	}
	if f := a.format(); f != nil {
		body["response_format"] = ofSchema(f.Schema)
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
		case "thinking":
			out.Reasoning += b.Thinking
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
			text := b.Content.text()
			if b.IsError { // which OpenAI's API says in the text
				text = "Error: " + text
			}
			results = append(results, message{Role: "tool", Content: text, ToolCallID: b.ToolUseID})
		}
	}
	switch {
	case images:
		out.Content = parts
	case len(parts) > 0:
		out.Content = m.Content.text()
	case out.Reasoning != "" && len(out.ToolCalls) == 0:
		out.Content = "" // engines want one
	case len(out.ToolCalls) == 0:
		return results
	}
	return append(results, out)
}
