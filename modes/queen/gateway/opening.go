package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
	"rbee.dev/rbee/transport/ssh"
)

// opening is a worker's answer of which the beginning was looked at.
type opening struct {
	io.ReadCloser
	buf  *[]byte // of smallBuffers, until what was seen has been read
	seen []byte  // what is still to be read: in buf, where it fits in there
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
	o.forget()
	return n, o.err
}

// forget gives the buffer back.
func (o *opening) forget() {
	smallBuffers.Put(o.buf)
	o.buf, o.seen = nil, nil
}

// more reads on, unless all of it has been seen or as much as there is room for.
func (o *opening) more() bool {
	if o.err != nil || len(o.seen) == cap(o.seen) {
		return false
	}
	n, err := o.ReadCloser.Read(o.seen[len(o.seen):cap(o.seen)])
	o.seen, o.err = o.seen[:len(o.seen)+n], err
	return true
}

// makeRoom has room for more of what may be a long error, and reports whether it has.
func (o *opening) makeRoom() bool {
	if o.err != nil || len(o.seen) >= maxKept || !bytes.Contains(o.seen, []byte(`"error"`)) {
		return false
	}
	o.seen = slices.Grow(o.seen, 3*len(o.seen))
	return true
}

// all reads an answer in one piece, or maxKept of it where it is longer.
func (o *opening) all() {
	for o.err == nil && len(o.seen) < maxKept {
		if len(o.seen) == cap(o.seen) {
			o.seen = slices.Grow(o.seen, min(3*len(o.seen), maxKept-len(o.seen)))
		}
		o.more()
	}
}

// open waits for the beginning of a worker's answer: of a stream all to the first event
// that says anything, or all of an answer in one piece that is not long. Its error says that it broke off
// before that, or that it is no answer, or is or begins with an error: as that of an
// engine which answers 200 before it computes. Another worker may do better then,
// unless the request is what is wrong.
func open(answer *http.Response, by *ops.Worker, stream bool) error {
	buf := smallBuffers.Get().(*[]byte)
	o := &opening{ReadCloser: answer.Body, buf: buf, seen: (*buf)[:0]}
	answer.Body = o
	var err error
	if transport.IsStream(answer.Header) {
		err = o.begins(answer, by)
	} else {
		err = o.isWhole(answer, by, stream)
	}
	if err != nil {
		o.forget()
	}
	return err
}

// begins looks at a stream until an event of it says anything, or as far as there is
// room to hold it back.
func (o *opening) begins(answer *http.Response, by *ops.Worker) error {
	var s silence
	data, said := []byte(nil), false
	for !said && (o.more() || o.makeRoom()) {
		data, said = s.broken(o.seen)
	}
	switch {
	case !said && o.err != nil:
		return unbegun(by, o.err)
	case !said || !transport.IsEngineError(data):
		return nil
	}
	return failedInside(answer, by, bytes.Clone(data))
}

// failedInside is failing for an answer that is, or begins with, an error in spite of its
// status: it becomes that error alone, with the status of that. One that is not the
// request's is the engine's, whoever would do better, and not the queen's.
func failedInside(answer *http.Response, by *ops.Worker, text []byte) error {
	e := transport.EngineError(0, text)
	if answer.StatusCode = statusFor(e.Code); e.Code == ops.CodeInternal {
		answer.StatusCode = http.StatusBadGateway
	}
	answer.Status = http.StatusText(answer.StatusCode)
	answer.Header = answer.Header.Clone()
	answer.Header.Del("Content-Length")
	answer.Header.Set("Content-Type", "application/json")
	answer.Body = reread{bytes.NewReader(text), answer.Body}
	answer.ContentLength = int64(len(text))
	return failing(answer, by, text, e)
}

// unbegun is the error of a worker whose answer ended before it began.
func unbegun(by *ops.Worker, err error) error {
	switch {
	case errors.Is(err, ssh.ErrLost):
		return unreached(by)
	case errors.Is(err, io.EOF):
		return senseless(by, ops.Errorf(ops.CodeInternal, "it answers with nothing"))
	}
	return schedule.ByWorker(ops.Errorf(ops.CodeUnavailable, "it broke its answer off before the first byte"), by)
}

// isWhole looks whether an answer in one piece came whole, or is too long to be kept,
// can be read, and is no error in spite of its status.
// Any other is none to who asked for a stream.
func (o *opening) isWhole(answer *http.Response, by *ops.Worker, stream bool) error {
	o.all()
	switch {
	case len(o.seen) == 0:
		return unbegun(by, o.err)
	case o.err != nil && !errors.Is(o.err, io.EOF):
		return broke(by, o.err)
	case stream && (o.err == nil || !transport.IsEngineError(o.seen)):
		return senseless(by, transport.NoStream(answer.Header))
	case o.err == nil:
		return nil
	case !isJSON(o.seen, answer.Request.URL.Path):
		return senseless(by, ops.Errorf(ops.CodeInternal, "it answers with what cannot be read"))
	case transport.IsEngineError(o.seen):
	case !isAnswer(o.seen, answer.Request.URL.Path):
		return senseless(by, ops.Errorf(ops.CodeInternal, "it answers with JSON that is no answer of a model's"))
	default:
		return nil
	}
	return failedInside(answer, by, bytes.Clone(o.seen))
}

// isJSON reports whether a text can be an answer of that route: an object, or also a
// list where documents are ranked.
func isJSON(text []byte, path string) bool {
	text = bytes.TrimSpace(text)
	is := func(begin string) bool { return bytes.HasPrefix(text, []byte(begin)) }
	return (is("{") || is("[") && path == "/v1/rerank") && json.Valid(text)
}

// holds are the members of which an answer of that route has one at least. Of others
// nothing is known.
var holds = map[string][]string{
	"/v1/chat/completions": {`"choices"`},
	"/v1/completions":      {`"choices"`},
	"/v1/embeddings":       {`"data"`},
	"/v1/responses":        {`"output"`, `"status"`},           // one that has failed may have none
	"/v1/rerank":           {`"results"`, `"data"`, `"index"`}, // of a list without anything around it
}

// isAnswer reports whether JSON can be an answer of that route. It looks for the names
// alone, wherever they are: what the engine says beside is for the client.
func isAnswer(text []byte, path string) bool {
	names, known := holds[path]
	return !known || slices.ContainsFunc(names, func(name string) bool { return bytes.Contains(text, []byte(name)) }) &&
		!isEmpty(text, `"choices"`) && !isEmpty(text, `"message"`)
}

// isEmpty reports whether the first member of that name has nothing in it.
func isEmpty(text []byte, name string) bool {
	_, rest, _ := bytes.Cut(text, []byte(name))
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(rest), []byte(":"))
	if rest = bytes.TrimSpace(rest); !ok || len(rest) == 0 || rest[0] != '[' && rest[0] != '{' {
		return false
	}
	rest = bytes.TrimSpace(rest[1:])
	return len(rest) > 0 && (rest[0] == ']' || rest[0] == '}')
}
