package relay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/yamux"

	"rbee.dev/rbee/ops"
)

// A stream begins with the number of the part that it is for (a byte); the queen
// answers with the length of a text (16 bits, big endian) and the text, which
// says why it leads nowhere when it is not empty. Then come the bytes themselves.

// openWithin bounds how long a stream may take to lead somewhere.
const openWithin = 30 * time.Second

// config is the multiplexer's. Its keepalive tells the worker of a queen that
// is gone without a word, which a server's end of SSH may not for hours.
func config() *yamux.Config {
	c := yamux.DefaultConfig()
	c.KeepAliveInterval = 15 * time.Second
	c.ConnectionWriteTimeout = time.Minute // much data may be before it on a slow link
	c.MaxStreamWindowSize = 4 << 20
	// Who still writes to a side that has ended must learn of it: an engine that
	// sends weights does not read meanwhile.
	c.StreamCloseTimeout = 5 * time.Second
	c.LogOutput = io.Discard
	return c
}

// Session is the worker's end of what the queen holds with it.
type Session struct{ mux *yamux.Session }

// NewSession begins a session over conn. The caller closes it.
func NewSession(conn net.Conn) (*Session, error) {
	mux, err := yamux.Client(conn, config())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin a session: %w", err), conn.Close())
	}
	return &Session{mux: mux}, nil
}

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.mux.CloseChan() }

// Close ends the session and all its streams.
func (s *Session) Close() error { return s.mux.Close() }

// Open connects with a part. The error is the queen's reason why not, or that
// she did not answer.
func (s *Session) Open(ctx context.Context, part int) (_ Conn, err error) {
	stream, err := s.mux.OpenStream()
	if err != nil {
		return nil, ops.Errorf(ops.CodeUnavailable, "the queen does not answer: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = stream.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() {
			err = context.Cause(ctx)
		}
		if err != nil {
			_ = stream.Close()
		}
	}()
	if err := stream.SetDeadline(time.Now().Add(openWithin)); err != nil {
		return nil, err
	}
	if _, err := stream.Write([]byte{byte(part)}); err != nil {
		return nil, ops.Errorf(ops.CodeUnavailable, "the queen does not answer: %w", err)
	}
	why, err := readText(stream)
	switch {
	case err != nil:
		return nil, ops.Errorf(ops.CodeUnavailable, "the queen does not answer: %w", err)
	case why != "":
		return nil, ops.Errorf(ops.CodeUnavailable, "%s", why)
	}
	return half{stream}, stream.SetDeadline(time.Time{})
}

// Serve is the queen's end: it connects each stream that the worker opens with
// what dial returns for its part, until the session or ctx ends, and returns when
// nothing of it is left. Its error is that of ctx, or nil.
func Serve(ctx context.Context, conn net.Conn, dial func(ctx context.Context, part int) (Conn, error)) error {
	mux, err := yamux.Server(conn, config())
	if err != nil {
		return errors.Join(fmt.Errorf("begin a session: %w", err), conn.Close())
	}
	inner, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = mux.Close() })
	defer stop()
	var work sync.WaitGroup
	for {
		stream, err := mux.AcceptStream()
		if err != nil {
			break
		}
		work.Go(func() { serveStream(inner, stream, dial) })
	}
	cancel()
	err = mux.Close()
	work.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// serveStream connects one stream.
func serveStream(ctx context.Context, stream *yamux.Stream, dial func(context.Context, int) (Conn, error)) {
	defer func() { _ = stream.Close() }()
	_ = stream.SetDeadline(time.Now().Add(openWithin))
	var part [1]byte
	if _, err := io.ReadFull(stream, part[:]); err != nil {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, openWithin)
	target, err := dial(bounded, int(part[0]))
	cancel()
	if err != nil {
		_ = writeText(stream, err.Error())
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = target.Close() })
	defer stop()
	if writeText(stream, "") != nil || stream.SetDeadline(time.Time{}) != nil {
		_ = target.Close()
		return
	}
	Join(half{stream}, target, nil)
}

// half names the Close of a stream, after which it still reads, what it is.
type half struct{ *yamux.Stream }

// CloseWrite ends this side's direction.
func (h half) CloseWrite() error { return h.Stream.Close() }

// Close ends both directions.
func (h half) Close() error {
	err := h.Stream.Close()
	return errors.Join(err, h.Stream.SetReadDeadline(time.Unix(1, 0)))
}

// mostText is how long a reason may be, in bytes.
const mostText = 4096

func writeText(w io.Writer, text string) error {
	text = text[:min(len(text), mostText)]
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(text))), text...)) //nolint:gosec // it is short
	return err
}

func readText(r io.Reader) (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	text := make([]byte, binary.BigEndian.Uint16(head[:]))
	_, err := io.ReadFull(r, text)
	return string(text), err
}
