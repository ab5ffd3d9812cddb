package gateway

import (
	"cmp"
	"encoding/json"
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
		Type    string `json:"type"` // auto, any, tool, none
		Name    string `json:"name"` // of tool
		OneOnly bool   `json:"disable_parallel_tool_use"`
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
	Source    anthropicSource  `json:"source"`   // of an image
}

// anthropicSource is where an image is: in the request, or at a URL.
type anthropicSource struct {
	Type      string `json:"type"` // base64, url
	Data      string `json:"data"`
	MediaType string `json:"media_type"`
	URL       string `json:"url"`
}

// openAI is the URL of the image.
func (s anthropicSource) openAI() string {
	if s.Type == "base64" {
		return "data:" + s.MediaType + ";base64," + s.Data
	}
	return s.URL
}

// UnmarshalJSON takes both forms.
func (c *anthropicContent) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		*c = anthropicContent{{Type: "text"}}
		return json.Unmarshal(text, &(*c)[0].Text)
	}
	return json.Unmarshal(text, (*[]anthropicBlock)(c))
}

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

// text is the blocks' text, each on a line of its own, as engines put the parts of a
// message together.
func (c anthropicContent) text() string {
	var texts []string
	for _, b := range c {
		if b.Text != "" {
			texts = append(texts, b.Text)
		}
	}
	return strings.Join(texts, "\n")
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

// format is what the answer's text must be, or nil.
func (a anthropicRequest) format() *anthropicFormat { return cmp.Or(a.Output.Format, a.Format) }

// toolChoices are the words of a tool_choice in OpenAI's; that of one tool has its name.
var toolChoices = map[string]any{"auto": "auto", "any": "required", "none": "none", "tool": nil}

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
		body["tool_choice"] = toolChoices[c.Type]
		if c.Type == "tool" {
			body["tool_choice"] = map[string]any{"type": "function", "function": map[string]string{"name": c.Name}}
		}
		if c.OneOnly {
			body["parallel_tool_calls"] = false
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
			images = true
			parts = append(parts, map[string]any{"type": "image_url", "image_url": map[string]string{"url": b.Source.openAI()}})
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
