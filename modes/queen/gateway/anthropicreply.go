package gateway

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
)

// anthropic is the dialect of Anthropic's messages (its API reference,
// "Messages" and "Streaming messages").
type anthropic struct {
	model    string
	thinking bool // the client takes what the model thinks
	begun    bool
	block    int    // the number of the block that is open
	open     string // its type, or "" when none is
	tools    map[int]bool
	usage    usage
	reason   string
	stop     string // the stop sequence that the answer ended before, or ""
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
	a.model = cmp.Or(a.model, c.Model) // which the client may have left to us
	out := a.start(c.ID)
	a.stop = cmp.Or(a.stop, c.stop())
	if c.Usage != nil {
		a.usage = *c.Usage
	}
	for _, choice := range c.Choices {
		if choice.FinishReason != "" {
			a.reason = choice.FinishReason
		}
		if thought := choice.Delta.thought(); thought != "" && a.thinking {
			if a.open != "thinking" {
				out = append(out, a.next(map[string]any{"type": "thinking", "thinking": "", "signature": ""})...)
			}
			out = append(out, a.delta(map[string]any{"type": "thinking_delta", "thinking": thought})...)
		}
		if text := choice.Delta.text(); text != "" {
			if a.open != "text" {
				out = append(out, a.next(map[string]any{"type": "text", "text": ""})...)
			}
			out = append(out, a.delta(map[string]any{"type": "text_delta", "text": text})...)
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
		out = append(out, a.delta(map[string]any{"type": "input_json_delta", "partial_json": c.Function.Arguments})...)
	}
	return out
}

// delta is a piece of the block that is open.
func (a *anthropic) delta(piece map[string]any) []byte {
	return event("content_block_delta", map[string]any{"index": a.block, "delta": piece})
}

// next closes the block that is open and opens another.
func (a *anthropic) next(block map[string]any) []byte {
	out := a.closeBlock()
	a.open, _ = block["type"].(string)
	return append(out, event("content_block_start", map[string]any{"index": a.block, "content_block": block})...)
}

func (a *anthropic) closeBlock() []byte {
	if a.open == "" {
		return nil
	}
	a.open = ""
	out := event("content_block_stop", map[string]any{"index": a.block})
	a.block++
	return out
}

func (a *anthropic) end() []byte {
	out := append(a.start("0"), a.closeBlock()...)
	out = append(out, event("message_delta", map[string]any{
		"delta": a.stopped(),
		"usage": map[string]int{"input_tokens": a.usage.PromptTokens, "output_tokens": a.usage.CompletionTokens},
	})...)
	return append(out, event("message_stop", map[string]any{})...)
}

// stopped is why the answer ended.
func (a *anthropic) stopped() map[string]any {
	if a.stop != "" {
		return map[string]any{"stop_reason": "stop_sequence", "stop_sequence": a.stop}
	}
	return map[string]any{"stop_reason": stopReason(a.reason), "stop_sequence": nil}
}

// stopReason is OpenAI's finish_reason in Anthropic's words.
func stopReason(finish string) string {
	switch finish {
	case "length":
		return "max_tokens"
	case "tool_calls":
		return "tool_use"
	case "content_filter":
		return "refusal"
	}
	return "end_turn"
}

func (a *anthropic) whole(text []byte) ([]byte, error) {
	var c chunk
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	a.model = cmp.Or(a.model, c.Model)
	content := []map[string]any{}
	for _, choice := range c.Choices {
		a.reason = choice.FinishReason
		if thought := choice.Message.thought(); thought != "" && a.thinking {
			content = append(content, map[string]any{"type": "thinking", "thinking": thought, "signature": ""})
		}
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
	a.stop = c.stop()
	answer := map[string]any{
		"id": "msg_" + c.ID, "type": "message", "role": "assistant", "model": a.model, "content": content,
		"usage": map[string]int{"input_tokens": a.usage.PromptTokens, "output_tokens": a.usage.CompletionTokens},
	}
	maps.Copy(answer, a.stopped())
	return marshal(answer), nil
}

// comment is one of an event stream, which Anthropic's is too.
func (*anthropic) comment(text []byte) []byte { return append(append([]byte(nil), text...), "\n\n"...) }

func (*anthropic) failure(f failureBody, inStream bool) []byte {
	body := map[string]any{"error": map[string]string{"type": anthropicKind(f, inStream), "message": f.Message}}
	if inStream {
		return event("error", body)
	}
	body["type"] = "error"
	return marshal(body)
}

// statusOverloaded is the status that Anthropic has for that.
const statusOverloaded = 529

// anthropicKind is the error's type in Anthropic's words (its API reference,
// "Errors"). In the middle of an answer nothing is overloaded: it broke off.
func anthropicKind(f failureBody, inStream bool) string {
	switch f.status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return "invalid_request_error"
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusServiceUnavailable, statusOverloaded:
		if !inStream {
			return "overloaded_error"
		}
	case http.StatusGatewayTimeout:
		return "timeout_error"
	}
	if f.Type == "invalid_request_error" {
		return "invalid_request_error"
	}
	return "api_error"
}
