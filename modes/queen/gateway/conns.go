package gateway

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
)

const (
	// idleKept is how many connections to one worker are kept for later.
	idleKept = 256
	// idleWithin is how long one is kept.
	idleWithin = time.Minute
	// answerWithin is how long an answer is waited for after its request could
	// not be sent to its end: a server that refuses a large body may say why.
	answerWithin = time.Second
)

// conns is the connections to workers, kept between requests. It speaks HTTP/1.1
// in the goroutine of whoever asks. An http.Transport has two goroutines for each
// connection, and handing a request to them and its answer back takes longer than
// all else that the gateway does.
type conns struct {
	dial func(ctx context.Context, hive, worker string) (net.Conn, error)

	mu     sync.Mutex
	idle   map[key][]*conn // the newest last
	busy   map[*conn]key
	hung   map[key]bool // workers that hang, see [conns.hear]
	sweep  *time.Timer  // runs while any is idle
	closed bool
}

// conn is one connection.
type conn struct {
	net.Conn
	read  *bufio.Reader
	since time.Time // that it is idle
}

// ask has worker k answer a client's request with that body. It returns when the answer's
// head is there; who takes the answer closes its body. A connection ends with
// ctx, at any time until then.
func (s *conns) ask(ctx context.Context, k key, request *http.Request, body []byte) (*http.Response, error) {
	for {
		c, kept, err := s.take(ctx, k)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { _ = c.Close() })
		answer, err := c.exchange(request, body)
		if err == nil {
			answer.Body = &rest{ReadCloser: answer.Body, conns: s, conn: c, key: k, stop: stop, again: !answer.Close}
			return answer, nil
		}
		stop()
		_ = s.leave(c) // it is broken
		if s.hangs(k) {
			return nil, errHangs
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !kept || !errors.Is(err, errSilent) { // a kept one may have been closed from the other side
			return nil, err
		}
	}
}

// errSilent says that a connection broke before a byte of the answer came.
var errSilent = errors.New("closed the connection before it said anything")

// exchange sends a request and reads the head of its answer.
func (c *conn) exchange(request *http.Request, body []byte) (*http.Response, error) {
	sent := c.send(request, body)
	if sent != nil {
		_ = c.SetReadDeadline(time.Now().Add(answerWithin)) // what it cannot, reading will tell
	}
	if _, err := c.read.Peek(1); err != nil {
		return nil, errors.Join(errSilent, sent, err)
	}
	for {
		answer, err := http.ReadResponse(c.read, request)
		if err != nil {
			return nil, err
		}
		if answer.StatusCode >= http.StatusOK {
			answer.Close = answer.Close || sent != nil
			return answer, nil
		}
	}
}

// send sends a request. A large body is not copied for it.
func (c *conn) send(request *http.Request, body []byte) error {
	head := headOf(request, len(body))
	if len(body) <= 16<<10 {
		_, err := c.Write(append(head, body...))
		return err
	}
	parts := net.Buffers{head, body}
	_, err := parts.WriteTo(c.Conn)
	return err
}

// headOf is the head of a client's request as a worker gets it (RFC 9112, 2 and
// 3). What the request came with, its server has checked.
func headOf(request *http.Request, size int) []byte {
	b := make([]byte, 0, 1024)
	b = append(append(append(b, request.Method...), ' '), request.URL.RequestURI()...)
	b = append(b, " HTTP/1.1\r\nHost: localhost\r\nContent-Length: "...)
	b = append(strconv.AppendInt(b, int64(size), 10), "\r\n"...)
	for name, values := range request.Header {
		if stays(name) {
			continue
		}
		for _, v := range values {
			b = append(append(append(append(b, name...), ": "...), v...), "\r\n"...)
		}
	}
	return append(b, "\r\n"...)
}

// take returns a connection to k, one that was kept if there is any.
func (s *conns) take(ctx context.Context, k key) (c *conn, kept bool, err error) {
	if c, err := s.keptFor(k); c != nil || err != nil {
		return c, true, err
	}
	to, err := s.dial(ctx, k.Hive, k.Worker)
	if err != nil {
		return nil, false, err
	}
	c = &conn{Conn: to, read: bufio.NewReader(to)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hung[k] { // meanwhile
		return nil, false, errors.Join(errHangs, c.Close())
	}
	s.works(c, k)
	return c, false, nil
}

// keptFor is a connection to k that was kept, or nil.
func (s *conns) keptFor(k key) (*conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch list := s.idle[k]; {
	case s.hung[k]:
		return nil, errHangs
	case len(list) > 0:
		c := list[len(list)-1]
		s.idle[k] = list[:len(list)-1]
		s.works(c, k)
		return c, nil
	case s.closed:
		return nil, ops.Errorf(ops.CodeUnavailable, "the queen is stopping")
	}
	return nil, nil
}

// works notes that a connection to k is used. The caller holds the lock.
func (s *conns) works(c *conn, k key) {
	if s.busy == nil {
		s.busy = map[*conn]key{}
	}
	s.busy[c] = k
}

// leave closes a connection that was used.
func (s *conns) leave(c *conn) error {
	s.mu.Lock()
	delete(s.busy, c)
	s.mu.Unlock()
	return c.Close()
}

// put keeps a connection whose answer was read to its end.
func (s *conns) put(k key, c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, c)
	if s.closed || len(s.idle[k]) >= idleKept || c.read.Buffered() > 0 {
		_ = c.Close() // nobody waits for what it may say
		return
	}
	if s.idle == nil {
		s.idle = map[key][]*conn{}
	}
	c.since = time.Now()
	s.idle[k] = append(s.idle[k], c)
	if s.sweep == nil {
		s.sweep = time.AfterFunc(idleWithin, s.drop)
	}
}

// drop closes the connections that were idle for long.
func (s *conns) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := time.Now().Add(-idleWithin)
	for k, list := range s.idle {
		n := 0
		for n < len(list) && !list[n].since.After(old) {
			_ = list[n].Close() // as in put
			n++
		}
		if s.idle[k] = list[n:]; n == len(list) {
			delete(s.idle, k)
		}
	}
	if s.sweep = nil; len(s.idle) > 0 && !s.closed {
		s.sweep = time.AfterFunc(idleWithin, s.drop)
	}
}

// close closes the connections that are idle; the others close with their
// requests.
func (s *conns) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, list := range s.idle {
		for _, c := range list {
			_ = c.Close() // as in put
		}
	}
	s.idle = nil
	if s.sweep != nil {
		s.sweep.Stop()
	}
}

// rest is the body of an answer. Read to its end, it gives its connection back.
type rest struct {
	io.ReadCloser
	conns *conns
	conn  *conn
	key   key
	stop  func() bool
	again bool // the connection can be used again
	ended bool
}

// Read reads on.
func (r *rest) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.ended = r.ended || errors.Is(err, io.EOF)
	if err != nil && !r.ended && r.conns.hangs(r.key) {
		err = errHangs
	}
	return n, err
}

// Close gives the connection back, or up.
func (r *rest) Close() error {
	whole := r.stop()
	if r.ended && whole && r.again {
		r.conns.put(r.key, r.conn)
		return nil
	}
	return r.conns.leave(r.conn)
}
