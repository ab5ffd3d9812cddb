package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"syscall"
	"time"

	"rbee.dev/rbee/ops"
)

// noticeWithin is how long the end of a process may take to be noticed after
// its connections broke.
const noticeWithin = time.Second

// newProxy makes what passes requests on as they come and answers as they come.
func (l *life) newProxy(through http.RoundTripper) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport:     through,
		FlushInterval: -1,
		BufferPool:    &l.server.buffers,
		ErrorLog:      log.New(io.Discard, "", 0), // errors are answers
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", "engine"
			if p.Out.ContentLength > 0 {
				p.Out.Body = io.NopCloser(&exact{p.In.Body, p.Out.ContentLength})
			}
		},
		ModifyResponse: l.guard,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			Refuse(w, l.explain(r, err, false))
		},
	}
}

// exact reads a body of known length and never looks beyond it: a server closes
// the body as soon as an answer begins, and the look would then break the
// connection that a fast answer comes through.
type exact struct {
	body io.Reader
	left int64
}

// Read reads what is left, and says with its last byte that it is the last.
func (e *exact) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.body.Read(p[:min(int64(len(p)), e.left)])
	if e.left -= int64(n); e.left == 0 {
		return n, io.EOF
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// silentKey is the context's key of a *bool, which is set when an answer broke
// off and its reader was not told.
type silentKey struct{}

// serve passes one request on. An answer that breaks off without a word for it
// breaks the client's connection, too.
func (l *life) serve(w http.ResponseWriter, r *http.Request) {
	silent := false
	l.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), silentKey{}, &silent)))
	if silent {
		panic(http.ErrAbortHandler)
	}
}

// hangUps are what comes of a connection that the other side closes: while its answer is
// read, or the request is still being written.
var hangUps = []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE}

// explain says why the process did not answer, or not to the end of what it had begun.
func (l *life) explain(r *http.Request, err error, begun bool) error {
	if r.Context().Err() != nil {
		return ops.Errorf(ops.CodeCancelled, "nobody waits for the answer any more")
	}
	if l.ends(r.Context()) {
		return l.why
	}
	o := l.server.options
	closed := slices.ContainsFunc(hangUps, func(e error) bool { return errors.Is(err, e) })
	what := fmt.Sprintf("%s broke its answer off: %v", o.Name, err)
	switch {
	case closed && begun:
		what = o.Name + " broke its answer off in the middle"
	case closed:
		what = o.Name + " closed the connection before it said anything"
	case !begun:
		what = fmt.Sprintf("%s does not answer: %v", o.Name, err)
	}
	return o.Answer(o.Explain(ops.Errorf(ops.CodeInternal, "%s", what)))
}

// ends reports whether the process ends whose connection broke. One that can be used
// goes on, and nobody waits for its end.
func (l *life) ends(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, noticeWithin)
	defer cancel()
	if l.looksReady(ctx).ready {
		return l.gone(0) // it may be the next one that is ready
	}
	until, _ := ctx.Deadline()
	return l.gone(time.Until(until))
}

// gone reports whether the process ends within d.
func (l *life) gone(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.ended:
		return true
	case <-timer.C:
	}
	select { // both may be so
	case <-l.ended:
		return true
	default:
		return false
	}
}

// Refuse answers with an error in OpenAI's form.
func Refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(ops.AsError(err).Code.HTTPStatus())
	_, _ = w.Write(append(body(err), '\n')) // the client may be gone
}

// body is an error in OpenAI's form.
func body(err error) []byte {
	e := ops.AsError(err)
	told := map[string]string{"message": e.Message, "type": "server_error", "code": string(e.Code)}
	if e.Hint != "" { // all that clients show is the message
		told["message"] += " (" + e.Hint + ")"
		told["hint"] = e.Hint
	}
	text, _ := json.Marshal(map[string]any{"error": told}) // strings alone
	return text
}

// buffers lends the proxies the buffers that answers are copied through.
type buffers struct{ pool sync.Pool }

// Get lends a buffer.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

// Put takes a buffer back.
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
