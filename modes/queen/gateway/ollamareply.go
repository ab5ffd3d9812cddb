package gateway

import (
	"cmp"
	"encoding/json"
	"time"
)

// ollama is the dialect of Ollama's chat and generate (its docs/api.md): a
// stream of JSON lines.
type ollama struct {
	model    string
	generate bool // of /api/generate, whose text is not in a message
	silent   bool // what the model thinks is not wanted
	began    time.Time
	first    time.Time // when the first piece came
	usage    usage
	took     *timings // as the engine tells it, or nil
	reason   string
	calls    []toolCall
}

type ollamaMessage struct {
	Role      string           `json:"role"`
	Content   string           `json:"content"`
	Thinking  string           `json:"thinking,omitempty"`
	ToolCalls []ollamaToolCall `json:"tool_calls,omitempty"`
}

// ollamaAnswer is a line of a stream, or the whole answer. Times are in
// nanoseconds.
type ollamaAnswer struct {
	Model      string         `json:"model"`
	CreatedAt  time.Time      `json:"created_at"`
	Message    *ollamaMessage `json:"message,omitempty"`
	Response   *string        `json:"response,omitempty"`
	Thinking   string         `json:"thinking,omitempty"` // beside Response
	Done       bool           `json:"done"`
	DoneReason string         `json:"done_reason,omitempty"`
	Total      int64          `json:"total_duration,omitempty"`
	LoadTime   int64          `json:"load_duration,omitempty"`
	Prompted   int            `json:"prompt_eval_count,omitempty"`
	PromptTime int64          `json:"prompt_eval_duration,omitempty"`
	Made       int            `json:"eval_count,omitempty"`
	MadeTime   int64          `json:"eval_duration,omitempty"`
}

func (*ollama) contentType() string { return "application/x-ndjson" }

func (o *ollama) piece(c chunk) []byte {
	o.model = cmp.Or(o.model, c.Model) // which the client may have left to us
	o.told(c)
	var out []byte
	for _, choice := range c.Choices {
		if choice.FinishReason != "" {
			o.reason = choice.FinishReason
		}
		o.collect(choice.Delta.ToolCalls)
		text, thought := choice.Text+choice.Delta.text(), o.thought(choice.Delta)
		if text == "" && thought == "" {
			continue
		}
		if o.first.IsZero() {
			o.first = time.Now()
		}
		out = append(append(out, marshal(o.answer(text, thought, nil))...), '\n')
	}
	return out
}

// thought is what the model thinks, where that is wanted.
func (o *ollama) thought(m message) string {
	if o.silent {
		return ""
	}
	return m.thought()
}

// told keeps what an engine tells of the whole.
func (o *ollama) told(c chunk) {
	if c.Usage != nil {
		o.usage = *c.Usage
	}
	if c.Timings != nil {
		o.took = c.Timings
	}
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

func (o *ollama) answer(text, thought string, calls []toolCall) ollamaAnswer {
	a := ollamaAnswer{Model: o.model, CreatedAt: time.Now().UTC()}
	if o.generate {
		a.Response, a.Thinking = &text, thought
		return a
	}
	a.Message = &ollamaMessage{Role: "assistant", Content: text, Thinking: thought}
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
	a.Done, a.DoneReason = true, "stop"
	if o.reason == "length" {
		a.DoneReason = "length"
	}
	a.Prompted, a.Made = o.usage.PromptTokens, o.usage.CompletionTokens
	o.times(&a)
	return a
}

// times says how long it took: all of it and, where the engine tells, its own work;
// what is left was waiting and loading. An engine that tells nothing is taken to
// have worked on the prompt until its first piece came.
func (o *ollama) times(a *ollamaAnswer) {
	total := time.Since(o.began)
	prompt, made := time.Duration(0), total
	switch {
	case o.took != nil:
		prompt, made = milliseconds(o.took.Prompt), milliseconds(o.took.Predicted)
	case !o.first.IsZero():
		prompt, made = o.first.Sub(o.began), time.Since(o.first)
	}
	a.Total, a.PromptTime, a.MadeTime = total.Nanoseconds(), prompt.Nanoseconds(), made.Nanoseconds()
	a.LoadTime = max(0, total-prompt-made).Nanoseconds()
}

func milliseconds(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }

// nothing is the answer to a request that says nothing, by which a model was loaded,
// or unloaded.
func (o *ollama) nothing(reason string) ollamaAnswer {
	a := o.answer("", "", nil)
	a.Done, a.DoneReason = true, reason
	return a
}

func (o *ollama) end() []byte {
	var out []byte
	if len(o.calls) > 0 {
		out = append(marshal(o.answer("", "", o.calls)), '\n')
	}
	return append(append(out, marshal(o.last(o.answer("", "", nil)))...), '\n')
}

func (o *ollama) whole(text []byte) ([]byte, error) {
	var c chunk
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	o.told(c)
	o.model = cmp.Or(o.model, c.Model)
	said, thought, calls := "", "", []toolCall(nil)
	for _, choice := range c.Choices {
		said += choice.Text + choice.Message.text()
		thought += o.thought(choice.Message)
		calls = append(calls, choice.Message.ToolCalls...)
		o.reason = choice.FinishReason
	}
	return marshal(o.last(o.answer(said, thought, calls))), nil
}

// comment is nothing: lines of JSON have none.
func (*ollama) comment([]byte) []byte { return nil }

func (*ollama) failure(f failureBody, inStream bool) []byte {
	text := marshal(map[string]string{"error": f.Message})
	if inStream {
		text = append(text, '\n')
	}
	return text
}

// ollamaLoad is the dialect of having a model loaded.
type ollamaLoad struct{ *ollama }

func (o *ollamaLoad) whole(text []byte) ([]byte, error) {
	var models struct {
		Data []struct{ ID string } `json:"data"`
	}
	if json.Unmarshal(text, &models) == nil && len(models.Data) > 0 {
		o.model = cmp.Or(o.model, models.Data[0].ID)
	}
	return marshal(o.nothing("load")), nil
}
