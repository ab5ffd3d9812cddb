package gateway

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// A dialect is another API than OpenAI's, spoken by translating: its request
// becomes one of OpenAI's, and the answer's pieces become its own.
type dialect interface {
	// contentType is that of a stream.
	contentType() string
	// piece translates one chunk of a stream.
	piece(c chunk) []byte
	// end is what a stream ends with that went well.
	end() []byte
	// whole translates an answer in one piece.
	whole(text []byte) ([]byte, error)
	// comment passes on a comment of a stream, without its end, or is nothing.
	comment(text []byte) []byte
	// failure is an error, in a stream's middle or as the whole answer.
	failure(f failureBody, inStream bool) []byte
}

// chunk is what the dialects need of OpenAI's answers, in chunks (delta) or
// whole (message).
type chunk struct {
	ID      string `json:"id"`
	Model   string `json:"model"`
	Choices []struct {
		Delta        message `json:"delta"`
		Message      message `json:"message"`
		Text         string  `json:"text"`
		FinishReason string  `json:"finish_reason"`
		StopReason   any     `json:"stop_reason"` // the stop text that was met, of vLLM and the built-in engine
	} `json:"choices"`
	Usage   *usage          `json:"usage"`
	Timings *timings        `json:"timings"`
	Error   json.RawMessage `json:"error"`
	Verbose struct {
		Stop string `json:"stopping_word"`
	} `json:"__verbose"` // what llama.cpp tells of a request that asks for verbose
}

// stop is the stop text that the answer ended before, or "".
func (c chunk) stop() string {
	for _, choice := range c.Choices {
		if text, ok := choice.StopReason.(string); ok && text != "" {
			return text
		}
	}
	return c.Verbose.Stop
}

// timings is how long an engine took, in milliseconds, as llama.cpp and the
// built-in engine tell it.
type timings struct {
	Prompt    float64 `json:"prompt_ms"`
	Predicted float64 `json:"predicted_ms"`
}

type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
}

// message is one of a conversation, as OpenAI has it. Content is a text or a
// list of parts.
type message struct {
	Role       string     `json:"role,omitempty"`
	Content    any        `json:"content,omitempty"`
	Reasoning  string     `json:"reasoning_content,omitempty"` // what the model thinks, as llama.cpp has it
	Thought    string     `json:"reasoning,omitempty"`         // the same, as vLLM has it by now
	ToolCalls  []toolCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
}

// text is the content that is a text.
func (m message) text() string {
	s, _ := m.Content.(string)
	return s
}

// thought is what the model thinks.
func (m message) thought() string { return cmp.Or(m.Reasoning, m.Thought) }

type toolCall struct {
	Index    int      `json:"index"`
	ID       string   `json:"id,omitempty"`
	Type     string   `json:"type,omitempty"`
	Function function `json:"function"`
}

type function struct {
	Name        string          `json:"name,omitempty"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
	Arguments   string          `json:"arguments,omitempty"` // JSON, in pieces in a stream
}

type tool struct {
	Type     string   `json:"type"`
	Function function `json:"function"`
}

// translate answers r, whose body is in OpenAI's words, in a dialect.
func (g *Gateway) translate(w http.ResponseWriter, r *http.Request, path string, body any, d dialect) {
	text, err := json.Marshal(body)
	if err != nil {
		refuse(w, d, err)
		return
	}
	t := &translator{to: w, header: http.Header{}, dialect: d}
	inner := r.Clone(r.Context())
	inner.URL.Path, inner.URL.RawQuery = path, ""
	inner.Header.Del("Content-Length")
	inner.Header.Del("Accept-Encoding")
	g.answer(t, inner, text)
	t.finish()
}

// translator is the writer that an answer in OpenAI's words goes to.
type translator struct {
	to      http.ResponseWriter
	dialect dialect
	header  http.Header
	status  int
	events  bool         // it is an event stream
	begun   bool         // of which something was sent
	held    bytes.Buffer // what was not translated yet
	torn    bool         // a piece could not be read
	ended   bool
	refused *ops.Error // what a stream ended with before anything was sent
}

// Header is the header of OpenAI's answer.
func (t *translator) Header() http.Header { return t.header }

// Unwrap lets deadlines through (see [http.ResponseController]).
func (t *translator) Unwrap() http.ResponseWriter { return t.to }

// WriteHeader begins the answer.
func (t *translator) WriteHeader(status int) {
	t.status, t.events = status, status == http.StatusOK && transport.IsStream(t.header)
	t.announce()
}

// announce passes on what the header says of the request's way.
func (t *translator) announce() {
	for _, name := range []string{"X-Rbee-Hive", "X-Rbee-Worker", ModelHeader, JobHeader, "Retry-After"} {
		if v := t.header.Get(name); v != "" {
			t.to.Header().Set(name, v)
		}
	}
}

// begin sends the head of a stream. It waits for the first that there is to say,
// so that what fails before can have a status: where waiting is silent, that is
// all that goes wrong before an engine answers.
func (t *translator) begin() {
	if t.begun {
		return
	}
	t.begun = true
	t.announce() // a worker may have been chosen since
	t.to.Header().Set("Content-Type", t.dialect.contentType())
	t.to.Header().Set("Cache-Control", "no-store")
	t.to.WriteHeader(http.StatusOK)
}

// FlushError sends what was written of a stream, if anything was (see
// [http.ResponseController]); the head of a whole answer is not there before its end.
func (t *translator) FlushError() error {
	if !t.begun {
		return nil
	}
	return http.NewResponseController(t.to).Flush()
}

// Write takes a part of the answer; whole lines of a stream are translated at
// once.
func (t *translator) Write(p []byte) (int, error) {
	if t.status == 0 {
		t.WriteHeader(http.StatusOK)
	}
	t.held.Write(p)
	if !t.events {
		return len(p), nil
	}
	for {
		line, rest, ok := bytes.Cut(t.held.Bytes(), []byte("\n"))
		if !ok {
			return len(p), nil
		}
		out := t.line(bytes.TrimSpace(line))
		t.held.Next(t.held.Len() - len(rest))
		if len(out) > 0 {
			t.begin()
			if _, err := t.to.Write(out); err != nil {
				return 0, err
			}
		}
	}
}

// line translates one line: the data of an event, which OpenAI's API has on one,
// or a comment.
func (t *translator) line(line []byte) []byte {
	if bytes.HasPrefix(line, []byte(":")) {
		return t.dialect.comment(line)
	}
	data, ok := bytes.CutPrefix(line, []byte("data:"))
	data = bytes.TrimSpace(data)
	if !ok || len(data) == 0 || t.ended {
		return nil
	}
	var c chunk
	done := string(data) == "[DONE]"
	switch {
	case !done && json.Unmarshal(data, &c) != nil:
		t.torn = true // what comes next may say why
		return nil
	case len(c.Error) > 0 && string(c.Error) != "null":
		return t.fail(transport.EngineError(0, data))
	case t.torn:
		return t.fail(unreadable)
	case done:
		t.ended = true
		return t.dialect.end()
	}
	return t.dialect.piece(c)
}

// unreadable is the failure of an engine that does not speak OpenAI's API.
var unreadable = ops.Errorf(ops.CodeInternal, "the engine sent what cannot be read")

// fail ends a stream with e; where nothing of it was sent yet, the answer will have
// its status.
func (t *translator) fail(e *ops.Error) []byte {
	t.ended = true
	if !t.begun {
		t.refused = e
		return nil
	}
	_, f := failureOf(e)
	return t.dialect.failure(f.Error, true)
}

// finish translates an answer that is no stream, and sees that a stream has an
// end.
func (t *translator) finish() {
	if t.events && !t.ended {
		if text := t.fail(unreadable); len(text) > 0 {
			_, _ = t.to.Write(text) // the client may be gone
		}
	}
	switch {
	case t.refused != nil:
		t.announce()
		refuse(t.to, t.dialect, t.refused)
		return
	case t.events:
		return
	case t.status == 0:
		t.status = http.StatusOK
	}
	if t.status < 300 {
		text, err := t.dialect.whole(t.held.Bytes())
		if err != nil {
			t.tell(http.StatusBadGateway, t.failure(unreadable, http.StatusBadGateway))
			return
		}
		t.tell(t.status, text)
		return
	}
	of := t.status
	if t.header.Get("X-Rbee-Worker") == "" { // the gateway's own words say their code
		of = 0
	}
	t.tell(t.status, t.failure(transport.EngineError(of, t.held.Bytes()), t.status))
}

// failure is an error that the whole answer is, which has that status.
func (t *translator) failure(e *ops.Error, status int) []byte {
	_, f := failureOf(e)
	f.Error.status = status
	return t.dialect.failure(f.Error, false)
}

// tell answers in one piece.
func (t *translator) tell(status int, text []byte) {
	t.to.Header().Set("Content-Type", "application/json")
	t.to.WriteHeader(status)
	_, _ = t.to.Write(text) // the client may be gone
}

// refuse answers with err in a dialect, while nothing was sent.
func refuse(w http.ResponseWriter, d dialect, err error) {
	status, f := failureOf(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(d.failure(f.Error, false)) // the client may be gone
}

// marshal is v as JSON; what the dialects send can always be encoded.
func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
