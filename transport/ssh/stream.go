package ssh

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// halfConn is what a stream runs over: an SSH channel.
type halfConn interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// chunkSize is how much of a channel is read at once; a channel's packets are
// at most 32 KiB.
const chunkSize = 32 << 10

// stream makes a [net.Conn] of a channel, which has no deadlines of its own. A
// goroutine reads ahead by two chunks, so that a Read can be given up.
//
// A write deadline that passes while a Write waits closes the channel: there
// is no other way to take the Write back.
type stream struct {
	under halfConn
	addr  *net.UnixAddr
	conn  *Conn

	free   chan []byte // buffers to read into
	chunks chan []byte // what was read; closed at the end
	err    error       // why, once chunks is closed

	reading sync.Mutex
	chunk   []byte // being consumed
	rest    []byte // what is left of it

	readBy, writeBy deadline
	writing         atomic.Int32 // Writes under way
	order           sync.Mutex   // the library has CloseWrite and Write not at once
	closed          chan struct{}
	closing         sync.Once
}

// newStream takes over ch, which leads to the socket at path.
func newStream(c *Conn, ch halfConn, path string) *stream {
	s := &stream{
		under: ch, conn: c, addr: &net.UnixAddr{Name: path, Net: "unix"},
		free: make(chan []byte, 2), chunks: make(chan []byte), closed: make(chan struct{}),
	}
	s.free <- make([]byte, chunkSize)
	s.free <- make([]byte, chunkSize)
	s.writeBy.passed = func() {
		if s.writing.Load() > 0 {
			_ = s.Close()
		}
	}
	if !c.spawn(s.pump) {
		s.err = c.Err()
		close(s.chunks)
	}
	return s
}

// pump reads ahead until the channel ends.
func (s *stream) pump() {
	defer close(s.chunks)
	for {
		var buf []byte
		select {
		case buf = <-s.free:
		case <-s.closed:
			return
		}
		n, err := s.under.Read(buf)
		if n > 0 {
			select {
			case s.chunks <- buf[:n]:
			case <-s.closed:
				return
			}
		}
		if err != nil {
			s.err = s.ended(err)
			return
		}
	}
}

// ended tells the socket's end from the connection's.
func (s *stream) ended(err error) error {
	if err != io.EOF { //nolint:errorlint // readers return io.EOF itself
		return err
	}
	if !s.conn.lives() {
		return ErrLost
	}
	return io.EOF
}

func (s *stream) Read(p []byte) (int, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.readBy.isPast() {
		return 0, os.ErrDeadlineExceeded
	}
	if len(s.rest) == 0 {
		select {
		case chunk, ok := <-s.chunks:
			if !ok {
				return 0, s.readErr()
			}
			s.chunk, s.rest = chunk, chunk
		case <-s.readBy.past():
			return 0, os.ErrDeadlineExceeded
		case <-s.closed:
			return 0, net.ErrClosed
		}
	}
	n := copy(p, s.rest)
	if s.rest = s.rest[n:]; len(s.rest) == 0 {
		s.free <- s.chunk[:chunkSize]
	}
	return n, nil
}

func (s *stream) readErr() error {
	select {
	case <-s.closed:
		return net.ErrClosed
	default:
		return s.err
	}
}

func (s *stream) Write(p []byte) (int, error) {
	s.writing.Add(1)
	defer s.writing.Add(-1)
	if s.writeBy.isPast() { // else the deadline finds us writing
		return 0, os.ErrDeadlineExceeded
	}
	s.order.Lock()
	n, err := s.under.Write(p)
	s.order.Unlock()
	if err != nil && s.writeBy.isPast() {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// CloseWrite tells the socket that nothing more comes, after the Writes that
// are under way; Read goes on.
func (s *stream) CloseWrite() error {
	s.order.Lock()
	defer s.order.Unlock()
	return s.under.CloseWrite()
}

// Close does not wait for the other side.
func (s *stream) Close() error {
	s.closing.Do(func() {
		close(s.closed)
		s.conn.spawn(func() { _ = s.under.Close() }) // which may wait for a dead link
	})
	return nil
}

func (s *stream) LocalAddr() net.Addr  { return &net.UnixAddr{Net: "unix"} }
func (s *stream) RemoteAddr() net.Addr { return s.addr }

func (s *stream) SetDeadline(t time.Time) error {
	s.readBy.set(t)
	s.writeBy.set(t)
	return nil
}

func (s *stream) SetReadDeadline(t time.Time) error {
	s.readBy.set(t)
	return nil
}

func (s *stream) SetWriteDeadline(t time.Time) error {
	s.writeBy.set(t)
	return nil
}
