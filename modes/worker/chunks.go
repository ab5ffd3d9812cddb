package worker

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"

	"rbee.dev/rbee/ops"
)

// chunk is what is read of one event of an engine's answer; the same for chat
// and text completions (https://platform.openai.com/docs/api-reference/chat-streaming).
type chunk struct {
	Choices []struct {
		Delta struct {
			Content   string `json:"content"`
			Reasoning string `json:"reasoning_content"` // what the model thinks, as llama.cpp has it
			Thought   string `json:"reasoning"`         // the same, as vLLM has it by now
		} `json:"delta"`
		Text         string  `json:"text"`
		FinishReason *string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
	} `json:"usage"`
	Error *engineError `json:"error"`
}

// engineError is OpenAI's form of an error. Engines differ in what they put
// into code: a word, a status, nothing.
type engineError struct {
	Message string          `json:"message"`
	Param   string          `json:"param"`
	Code    json.RawMessage `json:"code"`
	Hint    string          `json:"hint"` // of our own engines
}

// asError classifies the error; status is the response's, or 0 in its middle.
func (e engineError) asError(status int) *ops.Error {
	var word string
	code := ops.CodeInternal
	if status == 0 {
		_ = json.Unmarshal(e.Code, &status) // some engines have it there
	}
	if json.Unmarshal(e.Code, &word) == nil && ops.Code(word).HTTPStatus() != http.StatusInternalServerError {
		code = ops.Code(word)
	} else {
		switch status {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			code = ops.CodeInvalid
		case http.StatusNotFound:
			code = ops.CodeNotFound
		case http.StatusNotImplemented:
			code = ops.CodeUnsupported
		case http.StatusTooManyRequests:
			code = ops.CodeBusy
		case http.StatusServiceUnavailable:
			code = ops.CodeUnavailable
		}
	}
	failure := ops.Errorf(code, "%s", e.Message)
	failure.Hint = e.Hint
	if text, ok := strings.CutPrefix(e.Message, e.Param+": "); ok && e.Param != "" {
		failure.Message, failure.Field = text, e.Param
	}
	if failure.Field == "messages" {
		failure.Field = "prompt" // whose messages these are
	}
	return failure
}

// maxChunk bounds one event of an engine's stream, in bytes.
const maxChunk = 16 << 20

// errBroken is the failure of an engine whose answer ends without its [DONE].
var errBroken = ops.Errorf(ops.CodeUnavailable, "the engine broke its answer off").WithHint("ask again; `rbee worker list` shows what is left")

// chunks yields the events of an engine's stream up to its [DONE]. A stream
// that ends without one, or holds an error, yields an error as its last.
func chunks(body io.Reader) iter.Seq2[chunk, error] {
	return func(yield func(chunk, error) bool) {
		lines := bufio.NewScanner(body)
		lines.Buffer(make([]byte, 0, 4<<10), maxChunk)
		for lines.Scan() {
			data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
			data = bytes.TrimSpace(data)
			if !ok || len(data) == 0 { // comments and the lines between events
				continue
			}
			if bytes.Equal(data, []byte("[DONE]")) {
				return
			}
			var c chunk
			if err := json.Unmarshal(data, &c); err != nil {
				yield(c, ops.Errorf(ops.CodeInternal, "the engine sent what cannot be read: %w", err))
				return
			}
			if c.Error != nil {
				yield(c, c.Error.asError(0))
				return
			}
			if !yield(c, nil) {
				return
			}
		}
		err := lines.Err()
		switch {
		case err == nil:
			err = errBroken
		case errors.Is(err, bufio.ErrTooLong):
			err = ops.Errorf(ops.CodeInternal, "the engine sent an event of more than %d bytes", maxChunk)
		}
		yield(chunk{}, err)
	}
}

// refusal reads the error of an engine that answered with a status.
func refusal(answer *http.Response) *ops.Error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	var body struct {
		Error       *engineError `json:"error"`
		engineError              // as vLLM had it
	}
	if err == nil && json.Unmarshal(text, &body) == nil {
		switch {
		case body.Error != nil:
			return body.Error.asError(answer.StatusCode)
		case body.Message != "":
			return body.asError(answer.StatusCode)
		}
	}
	if e, ok := errors.AsType[*ops.Error](err); ok {
		return e
	}
	return engineError{Message: "the engine answers " + answer.Status}.asError(answer.StatusCode)
}

// refuse answers a caller of the engine's API in the engine's dialect.
func refuse(w http.ResponseWriter, e *ops.Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Code.HTTPStatus())
	_ = json.NewEncoder(w).Encode(map[string]any{ // the client may be gone
		"error": map[string]string{"message": e.Error(), "type": "server_error", "code": string(e.Code)},
	})
}
