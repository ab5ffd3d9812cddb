package gateway

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"

	"rbee.dev/rbee/ops"
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

// open waits for the beginning of a worker's stream. Its error says that it broke
// off before that, or that it begins with an error, as that of an engine does which
// answers 200 before it computes. Another worker may do better then, unless the
// request is what is wrong.
func open(answer *http.Response, by key) error {
	buf := smallBuffers.Get().(*[]byte)
	n, err := 0, error(nil)
	for n == 0 && err == nil {
		n, err = answer.Body.Read(*buf)
	}
	if n == 0 {
		smallBuffers.Put(buf)
		return ops.Errorf(ops.CodeUnavailable, "worker %s of %s broke its answer off before the first byte", by.Worker, by.Hive)
	}
	seen := (*buf)[:n]
	answer.Body = &opening{ReadCloser: answer.Body, buf: buf, seen: seen, err: err}
	if !bytes.Contains(seen, []byte(`"error"`)) || !beginsWithError(seen) {
		return nil
	}
	kept := *answer
	kept.Body = io.NopCloser(bytes.NewReader(bytes.Clone(seen)))
	return &failedAnswer{&kept, by, answers(by, "with an error", dataOf(seen))}
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

// beginsWithError reports whether the first event is an error which is not that of
// the request: in OpenAI's form, that of its responses API, or that of vLLM of old.
func beginsWithError(text []byte) bool {
	var e struct {
		Type, Object string
		Error        json.RawMessage
	}
	data := dataOf(text)
	if json.Unmarshal(data, &e) != nil {
		return false
	}
	said := e.Error
	if e.Type == "error" || e.Object == "error" {
		said = data
	}
	if len(said) == 0 || string(said) == "null" {
		return false
	}
	var f failureBody
	return json.Unmarshal(said, &f) != nil || !f.ofRequest()
}
