package gateway

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// writeWithin is how long a client may take nothing before it is given up.
const writeWithin = 30 * time.Second

// reply is what a client is told.
type reply struct {
	w         http.ResponseWriter
	r         *http.Request
	control   *http.ResponseController
	stream    bool        // the client asked for an event stream
	responses bool        // of the responses API, which has events and errors of its own
	begun     bool        // a header was sent, and so can be no more
	resume    *resumption // of a stream that may go on with another worker, or nil
	failed    error       // what the answer ended with
	given     bool        // some of a worker's answer
	gone      bool        // the client left before its end
	refused   error       // an engine's, which was the answer or ended it
}

func newReply(w http.ResponseWriter, r *http.Request, stream bool) *reply {
	return &reply{w: w, r: r, control: http.NewResponseController(w), stream: stream, responses: r.URL.Path == "/v1/responses"}
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
	if g := guestOf(p.r.Context()); g != nil {
		text = g.Words(text)
	}
	_ = p.write([]byte(": "+strings.ReplaceAll(text, "\n", " ")+"\n\n"), true) // who is gone is noticed by the request's context
}

// The rest makes a reply the [ops.Sink] of a request that waits.
var _ ops.Sink = (*reply)(nil)

// Emit says what happens. How far it has come is left out.
func (p *reply) Emit(e ops.Event) {
	if n, ok := e.(ops.NarrationEvent); ok {
		p.say(n.Actor + ": " + n.Human)
	}
}

// Mark says what another daemon's job says.
func (p *reply) Mark(e ops.Event, _ ops.Cursor) {
	if e != nil {
		p.Emit(e)
	}
}

// Cursor is of jobs, which a request is not.
func (*reply) Cursor() ops.Cursor { return ops.Cursor{} }

// JobID is empty: a request is no job.
func (*reply) JobID() string { return "" }

// left reports whether the client has gone by itself. It may go with the last that it is
// told, so how an answer ends is judged before that is sent.
func (p *reply) left() bool { return p.r.Context().Err() != nil && whyEnded(p.r.Context()) == nil }

// fail ends the answer with err.
func (p *reply) fail(err error) {
	p.failed, p.gone = err, p.gone || p.left()
	if p.begun {
		retryAfter(p.w.Header(), err)       // for a dialect that has sent nothing yet
		_ = p.write(p.lastEvent(err), true) // the client may be gone
		return
	}
	fail(p.w, err)
}

// lastEvent is err as the last event of the stream.
func (p *reply) lastEvent(err error) []byte {
	if p.responses {
		return responsesFailure(err)
	}
	return failureEvent(err)
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

// from names the worker in the answer's header, as long as that is not sent.
func (p *reply) from(by *ops.Worker) {
	p.w.Header().Set("X-Rbee-Hive", by.HiveID)
	p.w.Header().Set("X-Rbee-Worker", by.ID)
}

// pass hands the answer of that worker on as it comes. Its error is that of a
// stream which another worker may continue.
func (p *reply) pass(answer *http.Response, by *ops.Worker) error {
	p.from(by)
	if p.begun && (answer.StatusCode != http.StatusOK || !transport.IsStream(answer.Header)) {
		p.fail(inForm(answer, by))
		return nil
	}
	if err := lacking(answer); err != nil {
		p.fail(err)
		return nil
	}
	if p.given = p.given || answer.StatusCode == http.StatusOK; answer.StatusCode >= http.StatusBadRequest {
		p.refused = inForm(answer, by)
	}
	events := transport.IsStream(answer.Header)
	if !p.begun {
		fromWorker(p.w.Header(), answer.Header)
		if events {
			p.w.Header().Del("Content-Length") // its end may be ours
		}
		p.w.WriteHeader(answer.StatusCode)
		p.begun = true
	}
	if p.resume != nil && events && answer.StatusCode == http.StatusOK {
		return p.passOn(answer.Body, by)
	}
	if events {
		p.passEvents(answer, by)
		return nil
	}
	err := p.copy(answer.Body, answer.ContentLength < 0)
	if p.gone = errors.Is(err, errGone) || err != nil && p.left(); err != nil && !errors.Is(err, errGone) {
		p.failed = broke(by, err)
		panic(http.ErrAbortHandler) // a broken connection is the only sign left
	}
	return nil
}

// passEvents hands a stream on that no other worker may continue. What came of its end
// counts, whatever the client did then.
func (p *reply) passEvents(answer *http.Response, by *ops.Worker) {
	end := ending{responses: p.responses}
	err := p.copyEvents(answer.Body, by, &end)
	p.refused = end.failure()
	gone := errors.Is(err, errGone) || err != nil && p.left()
	switch {
	case end.came() || p.failed != nil || err == nil && answer.StatusCode != http.StatusOK:
	case end.finished() && (err == nil || gone):
		_ = p.write([]byte("\n\n"+done), true) // the client may be gone
	case gone:
		p.gone = true
	default:
		_ = p.write([]byte("\n\n"), false) // the frame before may be torn
		p.fail(cmp.Or(whyEnded(p.r.Context()), broke(by, cmp.Or(err, io.EOF))))
	}
}

// passOn hands a stream on that may go on with another worker.
func (p *reply) passOn(body io.Reader, by *ops.Worker) error {
	err := p.continued(body, by)
	if again, ok := errors.AsType[brokenOff](err); ok {
		p.resume.goOn()
		return again
	}
	p.refused = p.resume.refused
	if p.gone = errors.Is(err, errGone); err != nil && !p.gone {
		p.fail(err)
	}
	return nil
}

// isPage reports whether an answer is for a person's eyes, as that of a server is
// which is no engine, or of a proxy before one.
func isPage(h http.Header) bool {
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "text/html")
}

// lacking is the error of an engine that has not got the route and says so in
// words that OpenAI's clients do not know. Other answers are left as they are.
func lacking(answer *http.Response) error {
	if !mayLackRoute(answer.StatusCode) {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err == nil && !lacksRoute(text, answer.StatusCode) {
		answer.Body = io.NopCloser(bytes.NewReader(text)) // whoever opened the other closes it
		return nil
	}
	path := answer.Request.URL.Path
	e := ops.Errorf(ops.CodeNotFound, "the model's engine has no %s", path)
	const other = "`rbee worker spawn MODEL --engine llamacpp` runs the model on an engine that has it"
	switch path {
	case "/v1/responses":
		return e.WithHint("ask /v1/chat/completions, or %s", other)
	case "/v1/rerank":
		return e.WithHint("%s, with --flag reranking and a model for that", other)
	case "/v1/embeddings":
		return e.WithHint("%s, with --flag embeddings, and --flag pooling=mean too unless it is a model for embeddings", other)
	}
	return e.WithHint(other)
}

// mayLackRoute reports whether a status may say that a route is not there.
func mayLackRoute(status int) bool {
	return status == http.StatusNotFound || status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented
}

// lacksRoute reports whether an answer is of a route that the engine has not got: it has
// the status, and is no error of OpenAI's form, or llama.cpp's for one that it has not
// got, or has only when it is started for that.
func lacksRoute(body []byte, status int) bool {
	if !mayLackRoute(status) {
		return false
	}
	var f struct {
		Error struct {
			Message string
			Code    any
		}
	}
	if json.Unmarshal(body, &f) != nil || f.Error.Message == "" {
		return true
	}
	return f.Error.Code == float64(status) && (status == http.StatusNotImplemented || f.Error.Message == "File Not Found")
}

// errGone says that the client takes no more.
var errGone = errors.New("the client is gone")

// A stream comes in small pieces, and there are many streams.
var (
	largeBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}
	smallBuffers = sync.Pool{New: func() any { b := make([]byte, 4<<10); return &b }}
)

// copy copies the body.
func (p *reply) copy(body io.Reader, flush bool) error {
	buffers := &largeBuffers
	if flush {
		buffers = &smallBuffers
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		n, err := body.Read(*buf)
		if n > 0 {
			if p.write((*buf)[:n], flush) != nil {
				return errGone
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
