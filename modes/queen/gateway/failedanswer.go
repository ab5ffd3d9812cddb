package gateway

import (
	"bytes"
	"io"
	"net/http"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// failedAnswer is what an engine answers that has failed. It is kept while
// another worker is tried, and is the client's where none does better.
type failedAnswer struct {
	answer *http.Response
	by     *ops.Worker
	error  // says whose it is, and what it says
}

// Unwrap is what the engine says.
func (f *failedAnswer) Unwrap() error { return f.error }

// give gives it to the client, as it is.
func (f *failedAnswer) give(p *reply) {
	p.resume = nil
	_ = p.pass(f.answer, f.by) // which cannot be continued
}

// maxKept bounds the body of an answer that is kept, in bytes.
const maxKept = 64 << 10

// reread is the body of an answer that was looked at.
type reread struct {
	io.Reader
	io.Closer
}

// refusal reads the answer of a worker whose status says that it is none to the
// request. Its error is one that another worker may do better. What is the request's
// own fault, or too long to be kept, is left as it is, to be given at once: nil.
func refusal(answer *http.Response, by *ops.Worker) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxKept+1))
	if err != nil {
		return broke(by, err)
	}
	answer.Body = reread{io.MultiReader(bytes.NewReader(text), answer.Body), answer.Body}
	if len(text) > maxKept {
		return nil
	}
	return failing(answer, by, text, transport.EngineError(answer.StatusCode, text))
}

// inForm reads the error that a worker's answer is. One that is not in OpenAI's form, as
// a proxy's page or another API's, becomes so; the others are left as they were, but
// that a failure (5xx) says whose it is.
func inForm(answer *http.Response, by *ops.Worker) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxKept))
	answer.Body = reread{io.MultiReader(bytes.NewReader(text), answer.Body), answer.Body}
	if err != nil {
		return broke(by, err)
	}
	e := schedule.ByWorker(transport.EngineError(answer.StatusCode, text), by)
	formed := transport.InOpenAIsForm(text)
	switch {
	case len(text) == maxKept && text[0] == '{', formed && answer.StatusCode < http.StatusInternalServerError: // nobody has read the rest
		return e
	case formed:
		text = withMessage(text, e, "error")
	default:
		_, f := failureOf(e)
		f.Error.Type, f.Error.Code = openAIKind(answer.StatusCode, string(e.Code))
		text = marshal(f)
	}
	answer.Body = reread{bytes.NewReader(text), answer.Body}
	answer.ContentLength = -1
	answer.Header = answer.Header.Clone() // which may be kept
	answer.Header.Del("Content-Length")
	answer.Header.Set("Content-Type", "application/json")
	return e
}

// failing is e, which a worker's answer is with that body, as an error that another
// worker may do better: nil where it is the request's own fault.
func failing(answer *http.Response, by *ops.Worker, body []byte, e *ops.Error) error {
	if lacksRoute(body, answer.StatusCode) {
		e.Code = ops.CodeUnsupported
	}
	named := schedule.ByWorker(e, by)
	switch schedule.FaultOf(e) {
	case schedule.OfRequest:
		return nil
	case schedule.OfWorker:
		return named
	case schedule.OfEngine:
	}
	switch status := answer.StatusCode; { // what the client would take for the queen's
	case status >= 300 && status < http.StatusBadRequest, status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		return senselessError{named}
	}
	kept := *answer
	kept.Body = io.NopCloser(bytes.NewReader(body))
	return &failedAnswer{&kept, by, named}
}
