package gateway

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"rbee.dev/rbee/ops"
)

// failedAnswer is what an engine answers that has failed. It is kept while
// another worker is tried, and is the client's where none does better.
type failedAnswer struct {
	answer *http.Response
	by     key
	error  // says whose it is, and what it says
}

// maxKept bounds the body of an answer that is kept, in bytes.
const maxKept = 64 << 10

// keep reads the answer of an engine that has failed, and returns it as an error.
// One that is too long to be kept is left as it is, to be given at once: nil.
func keep(answer *http.Response, by key) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxKept+1))
	if err != nil {
		return ops.Errorf(ops.CodeUnavailable, "worker %s of %s answers %s and breaks off: %w", by.Worker, by.Hive, answer.Status, err)
	}
	body := answer.Body // whoever opened it closes it
	if len(text) > maxKept {
		answer.Body = io.NopCloser(io.MultiReader(bytes.NewReader(text), body))
		return nil
	}
	kept := *answer
	kept.Body = io.NopCloser(bytes.NewReader(text))
	return &failedAnswer{&kept, by, answers(by, answer.Status, text)}
}

// Unwrap is what the engine says.
func (f *failedAnswer) Unwrap() error { return f.error }

// give gives it to the client, as it is.
func (f *failedAnswer) give(p *reply) {
	p.resume = nil
	_ = p.pass(f.answer, f.by) // which cannot be continued
}

// answers is the error of a worker whose engine answers with that status and body.
func answers(by key, status string, body []byte) error {
	said := messageIn(body)
	if said != "" {
		said = ": " + said
	}
	return ops.Errorf(ops.CodeUnavailable, "worker %s of %s answers %s%s", by.Worker, by.Hive, status, said).
		WithHint("where it goes on failing, `rbee worker delete %s --hive %s` ends it", by.Worker, by.Hive)
}

// mostSaid bounds what is told of a body that is no error of OpenAI's, in bytes.
const mostSaid = 300

// messageIn is what an engine says in the body of an error: the message in it, or
// its beginning.
func messageIn(body []byte) string {
	var f struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  string          `json:"detail"` // FastAPI's, of what it does not take
	}
	if json.Unmarshal(body, &f) == nil {
		var inner failureBody
		var text string
		switch {
		case json.Unmarshal(f.Error, &inner) == nil && inner.Message != "":
			return inner.Message
		case json.Unmarshal(f.Error, &text) == nil && text != "":
			return text
		case f.Message != "":
			return f.Message
		case f.Detail != "":
			return f.Detail
		}
	}
	text := strings.Join(strings.Fields(string(body)), " ")
	return strings.ToValidUTF8(text[:min(len(text), mostSaid)], "")
}
