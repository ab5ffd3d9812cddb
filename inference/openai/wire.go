package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// call is the body of /v1/chat/completions and /v1/completions: OpenAI's
// fields, and top_k, min_p and chat_template_kwargs, which llama.cpp and vLLM take too.
type call struct {
	Model               string          `json:"model"`
	Messages            []wireMessage   `json:"messages"`
	Prompt              json.RawMessage `json:"prompt"`
	Stream              bool            `json:"stream"`
	StreamOptions       streamOptions   `json:"stream_options"`
	MaxTokens           *int            `json:"max_tokens"`
	MaxCompletionTokens *int            `json:"max_completion_tokens"`
	Temperature         *float64        `json:"temperature"`
	TopP                *float64        `json:"top_p"`
	TopK                *int            `json:"top_k"`
	MinP                *float64        `json:"min_p"`
	Seed                *int64          `json:"seed"`
	Stop                json.RawMessage `json:"stop"`
	N                   *int            `json:"n"`
	Template            map[string]any  `json:"chat_template_kwargs"`

	// What would make another answer, and is refused for that.
	ToolChoice json.RawMessage `json:"tool_choice"`
	Format     struct {
		Type string `json:"type"`
	} `json:"response_format"`
	Logprobs    json.RawMessage `json:"logprobs"` // true, or how many
	TopLogprobs *int            `json:"top_logprobs"`
}

// cannot refuses what a client counts on and this engine does not do. Tools that a
// model may use or not are no such thing: it answers without them.
func (c call) cannot() error {
	const other = "`rbee worker spawn MODEL --engine llamacpp` runs the model on an engine that can"
	switch choice := string(c.ToolChoice); {
	case choice != "" && choice != "null" && choice != `"auto"` && choice != `"none"`:
		return ops.Invalid("tool_choice", "this engine calls no tools, and cannot be made to").WithHint(other)
	case c.Format.Type != "" && c.Format.Type != "text":
		return ops.Invalid("response_format", "this engine writes text as it comes, not %s", c.Format.Type).WithHint(other)
	}
	if l := string(c.Logprobs); l != "" && l != "null" && l != "false" && l != "0" || c.TopLogprobs != nil && *c.TopLogprobs > 0 {
		return ops.Invalid("logprobs", "this engine tells no probabilities").WithHint(other)
	}
	return nil
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

type wireMessage struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

type contentPart struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// decodeCall reads a body and says which field is wrong, if one is.
func decodeCall(body []byte) (call, error) {
	var c call
	err := decode(body, &c)
	return c, err
}

func decode(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && t.Field != "" {
		return ops.Invalid(t.Field, "has the wrong type: %s", t.Value)
	}
	if err != nil {
		return ops.Invalid("", "the body is not JSON, or not an object")
	}
	return nil
}

// request checks the call's values and gives them defaults: OpenAI's
// temperature of 1, llama.cpp's others.
func (c call) request() (Request, error) {
	r := Request{Temperature: 1, TopP: ops.DefaultTopP, TopK: ops.DefaultTopK, MinP: ops.DefaultMinP, Seed: rand.Uint64()} //nolint:gosec // chance, not secrecy
	if c.N != nil && *c.N != 1 {
		return r, ops.Invalid("n", "must be 1, got %d", *c.N)
	}
	if c.MaxCompletionTokens != nil {
		c.MaxTokens = c.MaxCompletionTokens
	}
	if c.Seed != nil && *c.Seed >= 0 { // negative is random, as in llama.cpp
		r.Seed = uint64(*c.Seed)
	}
	return r, first(c.cannot(),
		set(&r.MaxTokens, c.MaxTokens, "max_tokens", 0, 1<<30), set(&r.Temperature, c.Temperature, "temperature", 0, 2),
		set(&r.TopP, c.TopP, "top_p", 0, 1), set(&r.TopK, c.TopK, "top_k", 0, 1<<30), set(&r.MinP, c.MinP, "min_p", 0, 1))
}

// first returns the first of errs that is not nil.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func set[N int | float64](dst *N, value *N, field string, low, high N) error {
	if value == nil {
		return nil
	}
	if *value < low || *value > high || *value != *value {
		return ops.Invalid(field, "must be between %v and %v, got %v", low, high, *value)
	}
	*dst = *value
	return nil
}

// messages reads a conversation; contents may be texts or lists of text parts.
func (c call) messages() ([]Message, error) {
	if len(c.Messages) == 0 {
		return nil, ops.Invalid("messages", "must not be empty")
	}
	list := make([]Message, len(c.Messages))
	for i, m := range c.Messages {
		text, err := content(m.Content)
		if err != nil {
			return nil, err
		}
		if m.Role == "" {
			return nil, ops.Invalid("messages", "message %d has no role", i)
		}
		list[i] = Message{Role: m.Role, Content: text}
	}
	return list, nil
}

func content(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return "", nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var parts []contentPart
	if err := json.Unmarshal(raw, &parts); err != nil {
		return "", ops.Invalid("messages", "a content must be a text or a list of parts")
	}
	var b strings.Builder
	for _, p := range parts {
		if p.Type != "text" {
			return "", ops.Invalid("messages", "this engine takes text only, and there is %s", kindOfPart(p.Type))
		}
		b.WriteString(p.Text)
	}
	return b.String(), nil
}

// kindOfPart is the type of a part of a content in words.
func kindOfPart(kind string) string {
	switch kind {
	case "image_url":
		return "an image"
	case "input_audio":
		return "sound"
	case "file":
		return "a file"
	}
	return fmt.Sprintf("a part of type %q", kind)
}

// texts reads a field that may be one text or a list of them.
func texts(raw json.RawMessage, field string, most int) ([]string, error) {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil, nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}, nil
	}
	var list []string
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, ops.Invalid(field, "must be a text or a list of texts")
	}
	if len(list) > most && most == 1 {
		return nil, ops.Invalid(field, "must be one text, got %d: ask for each by itself", len(list))
	}
	if len(list) > most {
		return nil, ops.Invalid(field, "takes at most %d texts, got %d", most, len(list))
	}
	return list, nil
}

// usage counts tokens.
type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

// timings is in the last chunk of a stream and in a whole answer, as llama.cpp has
// it there: who counts tokens on the way has not always asked for usage.
type timings struct {
	PromptN     int     `json:"prompt_n"`
	PromptMS    float64 `json:"prompt_ms"` // to the first token, or piece of text
	PredictedN  int     `json:"predicted_n"`
	PredictedMS float64 `json:"predicted_ms"` // from there on

	began, first time.Time
}

// piece says that a piece of text has come.
func (t *timings) piece() {
	if t.first.IsZero() {
		t.first = time.Now()
	}
}

// end says how the generation went.
func (t *timings) end(o Outcome) {
	t.piece()
	first, last := t.first, time.Now()
	if !o.First.IsZero() {
		first, last = o.First, o.Last
	}
	t.PromptN, t.PredictedN = o.PromptTokens, o.CompletionTokens
	t.PromptMS = float64(first.Sub(t.began)) / float64(time.Millisecond)
	t.PredictedMS = float64(last.Sub(first)) / float64(time.Millisecond)
}

// answer is a whole answer or a chunk of one, of either route.
type answer struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"` // seconds since 1970
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   *usage   `json:"usage,omitempty"`
	Timings *timings `json:"timings,omitempty"`
}

type choice struct {
	Index        int     `json:"index"`
	Message      *turn   `json:"message,omitempty"` // of a whole chat answer
	Delta        *turn   `json:"delta,omitempty"`   // of a chat chunk
	Text         *string `json:"text,omitempty"`    // of a completion
	FinishReason *string `json:"finish_reason"`
	StopReason   string  `json:"stop_reason,omitempty"` // the stop text that was met, as vLLM has it
}

type turn struct {
	Role    string `json:"role,omitempty"`
	Content string `json:"content"`
}

// failureBody is OpenAI's form of an error.
type failureBody struct {
	Error failure `json:"error"`
}

type failure struct {
	Message string `json:"message"`
	Type    string `json:"type"`
	Param   string `json:"param,omitempty"`
	Code    string `json:"code"`
	Hint    string `json:"hint,omitempty"` // what to do about it; not OpenAI's, whose clients skip it
}

func toFailure(err error) (status int, body failureBody) {
	e := ops.AsError(err)
	kind := "server_error"
	if e.Code == ops.CodeInvalid || e.Code == ops.CodeNotFound || e.Code == ops.CodeUnsupported {
		kind = "invalid_request_error"
	}
	status = e.Code.HTTPStatus()
	if errors.Is(err, errTooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	return status, failureBody{failure{Message: e.Error(), Type: kind, Param: e.Field, Code: string(e.Code), Hint: e.Hint}}
}
