package ssh

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/yamux"
)

// headerTime is how long a stream may take to say where it leads.
const headerTime = 30 * time.Second

// ServePipe is the far side of a tunnel: it runs on the other machine, in the
// command named by [Options.Pipe], over that command's standard input and
// output, and connects each stream that arrives with the socket it names. It
// returns nil when the other side has closed, and the context's error after
// ctx, when everything is closed. Closing rwc must end a Read of it that waits.
func ServePipe(ctx context.Context, rwc io.ReadWriteCloser, dial func(ctx context.Context, path string) (net.Conn, error)) error {
	mux, err := yamux.Server(rwc, pipeConfig())
	if err != nil {
		return fmt.Errorf("serve a pipe: %w", err)
	}
	inner, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = mux.Close() })
	var work sync.WaitGroup
	for {
		s, err := mux.AcceptStream()
		if err != nil {
			break
		}
		work.Go(func() { servePiped(inner, s, dial) })
	}
	cancel()
	stop()
	err = mux.Close()
	work.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// servePiped serves one stream.
func servePiped(ctx context.Context, s *yamux.Stream, dial func(context.Context, string) (net.Conn, error)) {
	defer func() { _ = s.Close() }()
	_ = s.SetDeadline(time.Now().Add(headerTime))
	path, err := readHeader(s)
	if err != nil {
		return
	}
	target, err := dial(ctx, path)
	if err != nil {
		_ = answer(s, statusOf(err), err.Error())
		return
	}
	defer func() { _ = target.Close() }()
	if answer(s, pipeOK, "") != nil || s.SetDeadline(time.Time{}) != nil {
		return
	}
	join(newFrames(nil, s, path), target)
}

func readHeader(r io.Reader) (string, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return "", err
	}
	n := binary.BigEndian.Uint16(head)
	if n == 0 || n > maxSocketPath {
		return "", fmt.Errorf("a path of %d bytes", n)
	}
	path := make([]byte, n)
	_, err := io.ReadFull(r, path)
	return string(path), err
}

func answer(w io.Writer, status pipeStatus, text string) error {
	text = clip(text)
	_, err := w.Write(append(binary.BigEndian.AppendUint16([]byte{byte(status)}, uint16(len(text))), text...))
	return err
}

func statusOf(err error) pipeStatus {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return pipeAbsent
	case errors.Is(err, syscall.ECONNREFUSED):
		return pipeRefused
	case errors.Is(err, fs.ErrPermission):
		return pipeDenied
	}
	return pipeFailed
}

// join carries bytes between a stream and a socket until the stream is closed
// over there. A side that ends its direction ends it at the other; one that
// breaks breaks the other.
func join(f *frames, target net.Conn) {
	var work sync.WaitGroup
	work.Go(func() {
		if _, err := io.Copy(f, target); err != nil {
			_ = f.Close()
			_ = target.Close()
			return
		}
		_ = f.CloseWrite()
	})
	if _, err := io.Copy(target, f); err == nil {
		if half, ok := target.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		// Wait for the close, which may come while the socket still speaks.
		_, _ = f.under.Read(make([]byte, 1))
	}
	_ = f.Close()
	_ = target.Close()
	work.Wait()
}
