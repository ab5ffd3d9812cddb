package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"rbee.dev/rbee/ops"
)

// inProcess is an http.RoundTripper that hands requests to a handler in this
// process. Bodies are passed on as they are written.
type inProcess struct {
	handler http.Handler
	running sync.WaitGroup
}

// wait returns when every handler has.
func (p *inProcess) wait() { p.running.Wait() }

// RoundTrip returns as soon as the handler has sent its status. Closing the
// response's body ends the handler's context.
func (p *inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	read, write := io.Pipe()
	a := &answerWriter{header: http.Header{}, body: write, begun: make(chan struct{})}
	p.running.Go(func() {
		defer cancel()
		write.CloseWithError(a.run(p.handler, r.WithContext(ctx)))
	})
	select {
	case <-a.begun:
	case <-ctx.Done():
		read.CloseWithError(context.Cause(ctx))
		return nil, context.Cause(ctx)
	}
	return &http.Response{
		StatusCode: a.status, Status: fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.sent, Body: answerBody{PipeReader: read, cancel: cancel}, ContentLength: -1, Request: r,
	}, nil
}

// answerBody ends the handler when it is closed.
type answerBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

// Close tells the handler that nobody reads on.
func (b answerBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}

// answerWriter is the handler's http.ResponseWriter.
type answerWriter struct {
	header http.Header
	body   *io.PipeWriter
	once   sync.Once
	begun  chan struct{} // closed once status and sent are set
	status int
	sent   http.Header
}

// run calls the handler. Its error is what the body ends with.
func (a *answerWriter) run(h http.Handler, r *http.Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = ops.Errorf(ops.CodeInternal, "the engine panicked: %v", p)
			if e, ok := p.(error); ok && errors.Is(e, http.ErrAbortHandler) {
				err = ops.Errorf(ops.CodeUnavailable, "the engine broke its answer off")
			}
			a.WriteHeader(http.StatusInternalServerError)
		}
	}()
	h.ServeHTTP(a, r)
	a.WriteHeader(http.StatusOK) // unless it has
	return nil
}

// Header is the response's header, until the first write.
func (a *answerWriter) Header() http.Header { return a.header }

// WriteHeader sends status and header; only the first call counts.
func (a *answerWriter) WriteHeader(status int) {
	a.once.Do(func() {
		a.status, a.sent = status, a.header.Clone()
		close(a.begun)
	})
}

// Write hands p to whoever reads the body, and waits until it is read.
func (a *answerWriter) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// Flush sends status and header; what was written has been read already.
func (a *answerWriter) Flush() { a.WriteHeader(http.StatusOK) }
