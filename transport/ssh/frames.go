package ssh

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// maxFrame is how much one frame carries.
const maxFrame = 32 << 10

// frames is one stream of the pipe: its bytes in frames of a length (16 bits,
// big endian) and as many bytes. A frame of none is the end of a direction, so
// that a half that was closed, a stream that was closed, and one that was cut
// are three things; yamux alone knows only one.
type frames struct {
	under *yamux.Stream
	addr  *net.UnixAddr
	conn  *Conn // that carries the pipe; nil on its far side

	reading sync.Mutex
	head    [2]byte
	got     int // bytes of head that are there
	left    int // bytes of the frame still to read
	ended   bool

	writing sync.Mutex
	buf     []byte
	shut    bool
}

func newFrames(c *Conn, s *yamux.Stream, path string) *frames {
	return &frames{under: s, conn: c, addr: &net.UnixAddr{Name: path, Net: "unix"}}
}

func (f *frames) Read(p []byte) (int, error) {
	f.reading.Lock()
	defer f.reading.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for f.left == 0 {
		if f.ended {
			return 0, io.EOF
		}
		if err := f.next(); err != nil {
			return 0, f.cut(err)
		}
	}
	n, err := f.under.Read(p[:min(len(p), f.left)])
	f.left -= n
	return n, f.cut(err)
}

// next reads the head of a frame. It goes on where a deadline stopped it.
func (f *frames) next() error {
	for f.got < len(f.head) {
		n, err := f.under.Read(f.head[f.got:])
		f.got += n
		if err != nil {
			return err
		}
	}
	f.got, f.left = 0, int(binary.BigEndian.Uint16(f.head[:]))
	f.ended = f.left == 0
	return nil
}

// cut is the error of a Read that failed: it tells the stream's end from the
// connection's.
func (f *frames) cut(err error) error {
	if errors.Is(err, io.EOF) && f.conn != nil && !f.conn.lives() {
		return ErrLost
	}
	return cut(err)
}

// cut is the error of a stream that ended outside its protocol.
func cut(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case errors.Is(err, yamux.ErrTimeout):
		return os.ErrDeadlineExceeded
	}
	return err
}

func (f *frames) Write(p []byte) (n int, err error) {
	f.writing.Lock()
	defer f.writing.Unlock()
	if f.shut {
		return 0, net.ErrClosed
	}
	for len(p) > 0 && err == nil {
		part := p[:min(len(p), maxFrame)]
		f.buf = append(binary.BigEndian.AppendUint16(f.buf[:0], uint16(len(part))), part...)
		var sent int
		sent, err = f.under.Write(f.buf)
		n += max(sent-2, 0)
		p = p[len(part):]
	}
	if err != nil {
		f.shut = true // part of a frame is out: nothing can follow it
	}
	return n, cut(err)
}

// CloseWrite ends this side's direction; Read goes on.
func (f *frames) CloseWrite() error {
	f.writing.Lock()
	defer f.writing.Unlock()
	if f.shut {
		return nil
	}
	f.shut = true
	_, err := f.under.Write([]byte{0, 0})
	return cut(err)
}

// Close ends both directions; the other side sees a cut unless CloseWrite came
// before.
func (f *frames) Close() error {
	// A Read here is to end, and there is nothing to wait for.
	_ = f.under.SetDeadline(time.Unix(1, 0))
	return f.under.Close()
}

func (f *frames) LocalAddr() net.Addr  { return &net.UnixAddr{Net: "unix"} }
func (f *frames) RemoteAddr() net.Addr { return f.addr }

func (f *frames) SetDeadline(t time.Time) error      { return f.under.SetDeadline(t) }
func (f *frames) SetReadDeadline(t time.Time) error  { return f.under.SetReadDeadline(t) }
func (f *frames) SetWriteDeadline(t time.Time) error { return f.under.SetWriteDeadline(t) }
