package gateway

import (
	"bytes"
	"io"
	"net/http"

	"rbee.dev/rbee/ops"
)

// failedAnswer is what an engine answers that has failed. It is kept while
// another worker is tried, and is the client's where none does better.
type failedAnswer struct {
	answer *http.Response
	by     key
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
	return &failedAnswer{&kept, by}
}

// Error says whose it is.
func (f *failedAnswer) Error() string {
	return "worker " + f.by.Worker + " of " + f.by.Hive + " answers " + f.answer.Status
}

// give gives it to the client, as it is.
func (f *failedAnswer) give(p *reply) {
	_ = p.passOf(f.answer, f.by) // nothing of it is left to be continued
}

// passOf is pass, of the answer of that worker.
func (p *reply) passOf(answer *http.Response, by key) error {
	p.w.Header().Set("X-Rbee-Hive", by.Hive)
	p.w.Header().Set("X-Rbee-Worker", by.Worker)
	return p.pass(answer)
}
