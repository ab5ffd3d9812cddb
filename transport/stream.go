package transport

import (
	"bufio"
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
)

// connection is one connection of an event stream, without any retry. The
// r3labs client parses; what it does about connections is unfit for streams
// that must lose nothing, so it gets one attempt.
type connection struct {
	client *Client
	path   string
	after  uint64                   // id of the newest event that is known
	see    func(e *sse.Event) error // takes each event; its error ends the reading
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
	var stop error // why see wants no more
	leave := func() bool { return false }
	err := s.reader().SubscribeRawWithContext(bounded, func(e *sse.Event) {
		// A comment arrives as an event without data. What comes behind a torn
		// frame's head may be cut short; it will be sent again.
		if stop != nil || len(e.Data) == 0 || s.body.torn.Load() {
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
	reader.ReconnectStrategy = &backoff.StopBackOff{}
	if s.after > 0 {
		reader.LastEventID.Store([]byte(strconv.FormatUint(s.after, 10)))
	}
	s.client.authorize(func(key, value string) { reader.Headers[key] = value })
	reader.ResponseValidator = func(_ *sse.Client, answer *http.Response) error {
		if err := s.check(answer); err != nil {
			return errors.Join(err, answer.Body.Close())
		}
		s.body.ReadCloser, s.body.silence = answer.Body, s.client.Silence
		s.body.quiet.Reset(s.client.Silence)
		answer.Body = &s.body
		return nil
	}
	return reader
}

// check wants an event stream.
func (s *connection) check(answer *http.Response) error {
	if answer.StatusCode != http.StatusOK {
		return s.client.failure(answer)
	}
	given := answer.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(given); err != nil || kind != "text/event-stream" {
		return s.client.foreign(answer, fmt.Errorf("it sends %q in place of a stream", given))
	}
	return nil
}

// watchedBody is a stream's body. It notices silence, and an end in the middle
// of a frame, which the r3labs client delivers as if it were whole.
type watchedBody struct {
	io.ReadCloser
	quiet   *time.Timer // breaks the connection when it fires
	silence time.Duration
	end     [2]byte     // the newest bytes read
	heard   atomic.Bool // anything was read
	torn    atomic.Bool // the body ended, and not behind a frame
}

// Read reads from the body.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case n >= 2:
		b.end = [2]byte(p[n-2 : n])
	case n == 1:
		b.end = [2]byte{b.end[1], p[0]}
	}
	if n > 0 {
		b.heard.Store(true)
		b.quiet.Reset(b.silence)
	}
	if err != nil && b.end != [2]byte{'\n', '\n'} {
		b.torn.Store(true)
	}
	return n, err
}
