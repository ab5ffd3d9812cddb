package hive

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// wants is what this hive asks its queen for, and the answers on their way. One
// stream at a time carries them: a queen that comes again replaces the one whose
// connection broke, and is asked what that one had not answered.
type wants struct {
	queue chan *asked // to the stream that stands

	mu       sync.Mutex
	open     map[string]*asked // those without an answer, by id
	replaced chan struct{}     // closed when the stream is to end; nil without one
	closed   bool
}

// asked is a want and who waits for its answer.
type asked struct {
	want     ops.Want
	answered chan *http.Response
	lost     chan struct{}   // holds a token when the stream that it went over has ended
	gone     <-chan struct{} // closed when nobody waits any more
	via      <-chan struct{} // the stream's replaced
}

func newWants() *wants {
	return &wants{queue: make(chan *asked), open: map[string]*asked{}}
}

// ask asks the queen, however often her connection breaks meanwhile, and returns
// the answer's beginning; its body comes as it is read. The end of ctx ends both.
func (w *wants) ask(ctx context.Context, want ops.Want) (*http.Response, error) {
	want.ID = rand.Text()
	if sink := ops.SinkOf(ctx); sink != nil {
		want.JobID = sink.JobID()
	}
	a := &asked{want: want, answered: make(chan *http.Response), lost: make(chan struct{}, 1), gone: ctx.Done()}
	defer w.take(want.ID)
	for {
		w.mu.Lock()
		w.open[want.ID] = a
		w.mu.Unlock()
		select {
		case w.queue <- a:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		select {
		case answer := <-a.answered:
			body := answer.Body.(*answerBody)
			body.stop = context.AfterFunc(ctx, body.interrupt)
			return answer, nil
		case <-a.lost:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// take returns the want called id and forgets it; nil for one that is not open.
func (w *wants) take(id string) *asked {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.open[id]
	delete(w.open, id)
	return a
}

// close ends the stream, and takes no other.
func (w *wants) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.replaced != nil {
		close(w.replaced)
		w.replaced = nil
	}
}

// takeOver ends the stream that there was; the channel that it returns is closed
// when the new one is to end.
func (w *wants) takeOver() (replaced chan struct{}, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, false
	}
	if w.replaced != nil {
		close(w.replaced)
	}
	w.replaced = make(chan struct{})
	return w.replaced, true
}

// leave tells those whose wants went over a stream that it has ended.
func (w *wants) leave(stream chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.open {
		if a.via == stream {
			a.via = nil
			a.lost <- struct{}{} // which has room: each hand-over is lost once at most
		}
	}
	if w.replaced == stream {
		w.replaced = nil
	}
}

// serveWants is the stream that the queen reads, a want a line.
func (w *wants) serveWants(rw http.ResponseWriter, r *http.Request) {
	stream, ok := w.takeOver()
	if !ok {
		refuse(rw, ops.Errorf(ops.CodeUnavailable, "the hive is stopping"))
		return
	}
	defer w.leave(stream)
	rw.Header().Set("Content-Type", "application/x-ndjson")
	flush := http.NewResponseController(rw).Flush
	if flush() != nil {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case <-stream:
			return
		case a := <-w.queue:
			w.mu.Lock()
			a.via = stream
			w.mu.Unlock()
			if json.NewEncoder(rw).Encode(a.want) != nil || flush() != nil {
				return
			}
		}
	}
}

// serveAnswer takes an answer of the queen's and gives it to who waits for it.
func (w *wants) serveAnswer(rw http.ResponseWriter, r *http.Request) {
	a := w.take(path.Base(r.URL.Path))
	if a == nil {
		refuse(rw, ops.Errorf(ops.CodeNotFound, "nobody waits for this answer any more"))
		return
	}
	answer, err := http.ReadResponse(bufio.NewReaderSize(r.Body, 64<<10), nil) //nolint:bodyclose // its asker does
	if err != nil {                                                            // it broke off: there may be another
		a.lost <- struct{}{}
		refuse(rw, ops.Invalid("", "the body is no HTTP response: %w", err))
		return
	}
	body := &answerBody{ReadCloser: answer.Body, closed: make(chan struct{}), interrupt: func() {
		_ = http.NewResponseController(rw).SetReadDeadline(time.Unix(1, 0)) // ends a Read that waits
	}}
	answer.Body = body
	select {
	case a.answered <- answer:
		<-body.closed
		rw.WriteHeader(http.StatusNoContent)
	case <-a.gone:
	}
}

// answerBody is the body of an answer, which its asker closes.
type answerBody struct {
	io.ReadCloser
	interrupt func()
	stop      func() bool // keeps the end of the asker's context from interrupting
	closing   sync.Once
	closed    chan struct{}
}

// Close lets the queen know that no more is read.
func (b *answerBody) Close() error {
	b.closing.Do(func() {
		b.stop()
		close(b.closed)
	})
	return nil
}

// RoundTrip asks for what hive://NAME/MODEL/FILE names: the file, or a part of it.
func (w *wants) RoundTrip(r *http.Request) (*http.Response, error) {
	model, file, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	answer, err := w.ask(r.Context(), ops.Want{
		HiveID: r.URL.Host, Model: model, File: file, Range: r.Header.Get("Range"), IfRange: r.Header.Get("If-Range"),
	})
	if err != nil {
		return nil, err
	}
	answer.Request = r
	if answer.StatusCode < http.StatusBadRequest || answer.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return answer, nil
	}
	defer answer.Body.Close() //nolint:errcheck // it has no error
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxTold))
	if err != nil {
		return nil, brokeOff(err)
	}
	return nil, refused(answer, text)
}

// refused is the error that an answer is, whose body is text: of a hive that may be
// there again in a moment, it passes.
func refused(answer *http.Response, text []byte) error {
	var e ops.Error
	if json.Unmarshal(text, &e) != nil || e.Code == "" {
		e = *ops.Errorf(ops.CodeUnavailable, "the queen answers %s", answer.Status)
	}
	switch {
	case answer.StatusCode >= http.StatusInternalServerError:
		return fetch.Passing(&e)
	case e.Code == ops.CodeUnavailable:
		return fetch.Final(&e)
	}
	return &e
}

func brokeOff(err error) error {
	return fetch.Passing(ops.Errorf(ops.CodeUnavailable, "the queen's answer broke off: %w", err))
}

// maxTold bounds an answer that is JSON, in bytes.
const maxTold = 8 << 20

// tell asks for what is told as JSON and decodes it into out.
func (w *wants) tell(ctx context.Context, want ops.Want, out any) error {
	answer, err := w.ask(ctx, want)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // it has no error
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxTold))
	if err != nil {
		return brokeOff(err)
	}
	if answer.StatusCode != http.StatusOK {
		return refused(answer, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return ops.Errorf(ops.CodeInternal, "read the queen's answer: %w", err)
	}
	return nil
}
