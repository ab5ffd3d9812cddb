package gateway

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
)

// writeWithin is how long a client may take nothing before it is given up.
const writeWithin = 30 * time.Second

// reply is what a client is told.
type reply struct {
	w       http.ResponseWriter
	control *http.ResponseController
	stream  bool // the client asked for an event stream
	begun   bool // a header was sent, and so can be no more
}

func newReply(w http.ResponseWriter, stream bool) *reply {
	return &reply{w: w, control: http.NewResponseController(w), stream: stream}
}

// say tells a client that waits for a stream what happens, in a comment, which
// also keeps the connection alive. Others wait in silence.
func (p *reply) say(text string) {
	if !p.stream {
		return
	}
	if !p.begun {
		p.w.Header().Set("Content-Type", "text/event-stream")
		p.w.Header().Set("Cache-Control", "no-store")
		p.w.WriteHeader(http.StatusOK)
		p.begun = true
	}
	_ = p.write([]byte(": "+strings.ReplaceAll(text, "\n", " ")+"\n\n"), true) // who is gone is noticed by the request's context
}

// fail ends the answer with err.
func (p *reply) fail(err error) {
	if p.begun {
		_ = p.write(failureEvent(err), true) // the client may be gone
		return
	}
	fail(p.w, err)
}

func (p *reply) write(text []byte, flush bool) error {
	if err := p.control.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := p.w.Write(text); err != nil {
		return err
	}
	if !flush {
		return nil
	}
	return p.control.Flush()
}

// hopByHop are headers of one connection (RFC 9110, 7.6.1).
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// pass hands a worker's answer on as it comes.
func (p *reply) pass(answer *http.Response) {
	events := isEvents(answer.Header)
	if p.begun && (answer.StatusCode != http.StatusOK || !events) {
		p.fail(inAnswer(answer))
		return
	}
	if !p.begun {
		header := p.w.Header()
		for name, values := range answer.Header {
			header[name] = values
		}
		for _, name := range hopByHop {
			header.Del(name)
		}
		p.w.WriteHeader(answer.StatusCode)
		p.begun = true
	}
	tail, err := p.copy(answer.Body, events || answer.ContentLength < 0)
	if err == nil && events && answer.StatusCode == http.StatusOK && !ended(tail) {
		err = io.ErrUnexpectedEOF
	}
	switch {
	case err == nil || errors.Is(err, errGone):
	case events:
		_ = p.write([]byte("\n\n"), false) // the frame before may be torn
		p.fail(ops.Errorf(ops.CodeUnavailable, "the worker's answer broke off: %w", err).
			WithHint("ask again; `rbee worker list` shows what is left"))
	default:
		panic(http.ErrAbortHandler) // a broken connection is the only sign left
	}
}

func isEvents(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && kind == "text/event-stream"
}

// inAnswer reads the error in a worker's answer that came too late for a status.
func inAnswer(answer *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil || len(text) == 0 {
		return ops.Errorf(ops.CodeUnavailable, "the worker answers %s", answer.Status)
	}
	return ops.Errorf(ops.CodeUnavailable, "the worker answers %s: %s", answer.Status, text)
}

// errGone says that the client takes no more.
var errGone = errors.New("the client is gone")

var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// copy copies the body, and returns the end of what it copied.
func (p *reply) copy(body io.Reader, flush bool) (tail []byte, err error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		n, err := body.Read(*buf)
		if n > 0 {
			if p.write((*buf)[:n], flush) != nil {
				return nil, errGone
			}
			tail = lastOf(tail, (*buf)[:n])
		}
		if errors.Is(err, io.EOF) {
			return tail, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// tailKept is how much of a stream's end is looked at for its last event.
const tailKept = 512

func lastOf(tail, more []byte) []byte {
	if len(more) >= tailKept {
		return append(tail[:0], more[len(more)-tailKept:]...)
	}
	tail = append(tail, more...)
	if extra := len(tail) - tailKept; extra > 0 {
		tail = append(tail[:0], tail[extra:]...)
	}
	return tail
}

// ended reports whether a stream's tail holds its end: OpenAI's [DONE], an
// error, or the last event of the responses API.
func ended(tail []byte) bool {
	text := bytes.TrimSpace(tail)
	return bytes.HasSuffix(text, []byte("[DONE]")) || bytes.Contains(text, []byte(`"error"`)) || bytes.Contains(text, []byte("response.completed"))
}
