package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// opening is a worker's stream of which the beginning was looked at.
type opening struct {
	io.ReadCloser
	buf  *[]byte // of smallBuffers, until it has been read
	seen []byte  // in buf, what is still to be read
	err  error   // what came with it
}

// Read gives what was seen, and then the rest.
func (o *opening) Read(p []byte) (int, error) {
	if o.buf == nil {
		return o.ReadCloser.Read(p)
	}
	n := copy(p, o.seen)
	if o.seen = o.seen[n:]; len(o.seen) > 0 {
		return n, nil
	}
	smallBuffers.Put(o.buf)
	o.buf = nil
	return n, o.err
}

// open waits for the beginning of a worker's answer. Its error says that it broke
// off before that, or that it is, or begins with, an error: as that of an engine which
// answers 200 before it computes. Another worker may do better then, unless the
// request is what is wrong.
func open(answer *http.Response, by *ops.Worker) error {
	buf := smallBuffers.Get().(*[]byte)
	n, err := 0, error(nil)
	for n == 0 && err == nil {
		n, err = answer.Body.Read(*buf)
	}
	if n == 0 {
		smallBuffers.Put(buf)
		return unbegun(by, err)
	}
	seen := (*buf)[:n]
	answer.Body = &opening{ReadCloser: answer.Body, buf: buf, seen: seen, err: err}
	switch {
	case !bytes.Contains(seen, []byte(`"error"`)):
		return nil
	case !isEvents(answer.Header):
		return soft(answer, by)
	}
	data := dataOf(seen)
	if !isError(data) {
		return nil
	}
	return failing(answer, by, bytes.Clone(seen), transport.EngineError(0, data))
}

// unbegun is the error of a worker whose answer ended before it began.
func unbegun(by *ops.Worker, err error) error {
	if errors.Is(err, io.EOF) {
		return senseless(by, "it answers with nothing")
	}
	return schedule.ByWorker(ops.Errorf(ops.CodeUnavailable, "it broke its answer off before the first byte"), by)
}

// soft looks whether an answer in one piece is an error in spite of its status, which
// becomes that of the error then.
func soft(answer *http.Response, by *ops.Worker) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxKept+1))
	if err != nil {
		return broke(by, err)
	}
	answer.Body = reread{io.MultiReader(bytes.NewReader(text), answer.Body), answer.Body}
	if len(text) > maxKept || !isError(text) {
		return nil
	}
	e := transport.EngineError(0, text)
	answer.StatusCode = statusFor(e.Code)
	answer.Status = http.StatusText(answer.StatusCode)
	return failing(answer, by, text, e)
}

// dataOf is the data of the event that the text begins with, or nil where not all
// of it is there.
func dataOf(text []byte) []byte {
	_, data, _ := bytes.Cut(text, []byte("data:"))
	line, _, whole := bytes.Cut(data, []byte("\n"))
	if !whole {
		return nil
	}
	return bytes.TrimSpace(line)
}

// isError reports whether an answer, or its first event, is an error: in OpenAI's form,
// that of its responses API, or that of vLLM of old. A response that has failed is
// none: it is what that API answers.
func isError(text []byte) bool {
	var e struct {
		Type, Object string
		Error        json.RawMessage
	}
	if json.Unmarshal(text, &e) != nil || e.Object == "response" {
		return false
	}
	return e.Type == "error" || e.Object == "error" || len(e.Error) > 0 && string(e.Error) != "null"
}
