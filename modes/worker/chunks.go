package worker

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
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
	Error json.RawMessage `json:"error"`
}

// asked is what an engine says instead of an answer, in the words of the job: its
// messages are the worker's.
func asked(e *ops.Error) *ops.Error {
	if e.Field == "messages" {
		e.Field = "prompt"
	}
	return e
}

// maxChunk bounds one event of an engine's stream, in bytes.
const maxChunk = 16 << 20

// errBroken is the failure of an engine whose answer ends before its end.
var errBroken = ops.Errorf(ops.CodeUnavailable, "the engine broke its answer off").WithHint("ask again; `rbee worker list` shows what is left")

// chunks yields the events of an engine's stream up to its [DONE], or its end: whether
// the answer was whole then, its finish_reason tells. A stream that breaks off, or
// holds an error, yields an error as its last.
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
			if len(c.Error) > 0 && string(c.Error) != "null" {
				yield(c, asked(transport.EngineError(0, data)))
				return
			}
			if !yield(c, nil) {
				return
			}
		}
		err := lines.Err()
		if errors.Is(err, bufio.ErrTooLong) {
			err = ops.Errorf(ops.CodeInternal, "the engine sent an event of more than %d bytes", maxChunk)
		}
		if err != nil {
			yield(chunk{}, err)
		}
	}
}

// refusal reads the error of an engine that answered with a status.
func refusal(answer *http.Response) *ops.Error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if e, ok := errors.AsType[*ops.Error](err); ok {
		return e
	}
	return asked(transport.EngineError(answer.StatusCode, text))
}

// noStream is the error of an engine that was asked for a stream and answers with
// something else, which may be what has failed.
func noStream(answer *http.Response) *ops.Error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err == nil && transport.IsEngineError(text) {
		return asked(transport.EngineError(0, text))
	}
	return transport.NoStream(answer.Header)
}

// refuse answers a caller of the engine's API in the engine's dialect.
func refuse(w http.ResponseWriter, e *ops.Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Code.HTTPStatus())
	_ = json.NewEncoder(w).Encode(map[string]any{ // the client may be gone
		"error": map[string]string{"message": e.Error(), "type": "server_error", "code": string(e.Code)},
	})
}
