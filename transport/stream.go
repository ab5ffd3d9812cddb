package transport

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/r3labs/sse/v2"

	"rbee.dev/rbee/ops"
)

// maxEvent bounds one event of a stream, in bytes: the result of an inference
// carries its whole text.
const maxEvent = 64 << 20

// linger is how long a daemon may take to close a stream whose last event was
// read. When it does, the connection can be used again.
const linger = 250 * time.Millisecond

var (
	// errEnough ends a stream whose reader wants no more of it.
	errEnough = errors.New("the reader has enough")
	// errLast ends a stream that the daemon ends by itself now.
	errLast = errors.New("that was the last event")
	// errAccepted is the answer of a daemon that takes a job and tells where its
	// stream is, as an older build does that is asked for the stream itself.
	errAccepted = errors.New("the job was taken; its stream is elsewhere")
)

// connection is one connection of an event stream, without any retry. The
// r3labs client parses; what it does about connections is unfit for streams
// that must lose nothing, so it gets one attempt.
type connection struct {
	client *Client
	path   string
	submit []byte                   // submits the job whose stream it is, if not nil
	after  uint64                   // id of the newest event that is known
	see    func(e *sse.Event) error // takes each event; its error ends the reading
	ear    *ear
	body   watchedBody
}

// read hands events to see until that fails, and returns its error, or the one
// that broke the connection. A stream that just ends is an error here.
func (s *connection) read(ctx context.Context) error {
	bounded, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.body.quiet = time.AfterFunc(s.client.Patience, func() {
		cancel(fmt.Errorf("its stream has fallen silent"))
	})
	defer s.body.quiet.Stop()
	s.ear = s.client.listen(bounded, cancel)
	defer s.ear.close()
	var stop error // why see wants no more
	leave := func() bool { return false }
	err := s.reader().SubscribeRawWithContext(bounded, func(e *sse.Event) {
		// A comment arrives as an event without data. A torn frame will be sent
		// again, whole.
		if stop != nil || len(e.Data) == 0 || string(e.Retry) == tear {
			return
		}
		switch stop = s.see(e); {
		case errors.Is(stop, errLast):
			leave = time.AfterFunc(linger, func() { cancel(errLast) }).Stop
		case stop != nil:
			cancel(stop)
		}
	})
	leave()
	switch {
	case stop != nil:
		return stop
	case errors.Is(err, bufio.ErrTooLong):
		return ops.Errorf(ops.CodeInternal, "%s sent an event of more than %d bytes", s.client.Name, maxEvent)
	case err == nil:
		err = errors.New("its stream broke off")
	}
	return s.client.unanswered(ctx, bounded, err)
}

// reader configures the r3labs client for this connection.
func (s *connection) reader() *sse.Client {
	reader := sse.NewClient(s.client.BaseURL+s.path, sse.ClientMaxBufferSize(maxEvent))
	reader.Connection = s.client.http
	if s.submit != nil {
		posting := *s.client.http
		posting.Transport = submission{s.client.pool, s.submit}
		reader.Connection = &posting
	}
	reader.ReconnectStrategy = &backoff.StopBackOff{}
	if s.after > 0 {
		reader.LastEventID.Store([]byte(strconv.FormatUint(s.after, 10)))
	}
	s.client.authorize(func(key, value string) { reader.Headers[key] = value })
	reader.ResponseValidator = func(_ *sse.Client, answer *http.Response) error {
		if err := s.check(answer); err != nil {
			return errors.Join(err, answer.Body.Close())
		}
		s.ear.hears()
		s.body.ReadCloser, s.body.silence, s.body.ear = answer.Body, s.client.Silence, s.ear
		s.body.quiet.Reset(s.client.Silence)
		answer.Body = &s.body
		return nil
	}
	return reader
}

// submission turns the only request that the r3labs client can make, a GET, into
// the POST of a job whose answer is the job's stream.
type submission struct {
	next http.RoundTripper
	body []byte
}

// RoundTrip sends the submission in place of r.
func (s submission) RoundTrip(r *http.Request) (*http.Response, error) {
	post := r.Clone(r.Context())
	post.Method = http.MethodPost
	post.Header.Set("Content-Type", "application/json")
	post.Body, post.ContentLength = io.NopCloser(bytes.NewReader(s.body)), int64(len(s.body))
	return s.next.RoundTrip(post)
}

// check wants an event stream.
func (s *connection) check(answer *http.Response) error {
	if s.submit != nil && answer.StatusCode == http.StatusAccepted {
		return errAccepted
	}
	if answer.StatusCode != http.StatusOK {
		return s.client.failure(answer)
	}
	given := answer.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(given); err != nil || kind != "text/event-stream" {
		return s.client.foreign(answer, fmt.Errorf("it sends %q in place of a stream", given))
	}
	return nil
}

// tear is put behind the end of every stream. Where that is in the middle of a
// frame, it marks the frame, which the r3labs client would deliver as if it
// were whole; elsewhere it is an event without data, which counts for nothing.
const tear = "torn"

// watchedBody is a stream's body. It notices silence, and marks the end.
type watchedBody struct {
	io.ReadCloser
	quiet   *time.Timer // breaks the connection when it fires
	silence time.Duration
	ear     *ear
	heard   atomic.Bool // anything was read
	err     error       // why there is no more
	mark    string      // what is left to read of the mark behind the end
}

// Read reads from the body, then the mark.
func (b *watchedBody) Read(p []byte) (int, error) {
	if b.err == nil {
		n, err := b.ReadCloser.Read(p)
		if n > 0 {
			b.heard.Store(true)
			b.quiet.Reset(b.silence)
			b.ear.hears()
		}
		if err != nil {
			b.err, b.mark = err, "\nretry: "+tear
		}
		if n > 0 || err == nil {
			return n, nil
		}
	}
	n := copy(p, b.mark)
	b.mark = b.mark[n:]
	if n == 0 {
		return 0, b.err
	}
	return n, nil
}
