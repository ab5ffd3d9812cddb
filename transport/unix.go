package transport

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// maxSocketPath is the longest path that the kernels take for a socket
// (sun_path of unix(7) holds 108 bytes on Linux and 104 on macOS, with a NUL).
const maxSocketPath = 103

// Unix returns options for a client of the daemon that listens on the Unix
// socket at path.
func Unix(path string) Options {
	return Options{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		short, done, err := shortPath(path)
		if err != nil {
			return nil, err
		}
		defer done()
		return (&net.Dialer{}).DialContext(ctx, "unix", short)
	}}
}

// ListenUnix listens on a Unix socket at path, which only its owner can open. A
// socket left behind by a dead process is replaced; one that somebody answers
// on is not.
func ListenUnix(path string) (net.Listener, error) {
	short, done, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := listenUnix(short)
	if errors.Is(err, syscall.EADDRINUSE) {
		c, dialErr := net.DialTimeout("unix", short, time.Second) //nolint:noctx // bounded by its timeout
		if dialErr == nil {
			return nil, errors.Join(fmt.Errorf("listen on %s: another process answers there", path), c.Close())
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("replace a stale socket: %w", err)
		}
		l, err = listenUnix(short)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return socket{Listener: l, path: path}, nil
}

func listenUnix(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path) //nolint:noctx // does not wait
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // its short path may be gone by then
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// socket removes its path when it is closed.
type socket struct {
	net.Listener
	path string
}

// Close stops listening and removes the socket.
func (s socket) Close() error {
	if err := s.Listener.Close(); err != nil {
		return err
	}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// shortPath returns a path for the socket at path that the kernel takes: path
// itself, or for a long one the same through a link to its folder that done
// removes.
func shortPath(path string) (short string, done func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "rbee")
	if err != nil {
		return "", nil, fmt.Errorf("make a short way to the socket %s: %w", path, err)
	}
	done = func() { _ = os.RemoveAll(dir) }
	link := filepath.Join(dir, "d")
	if err := os.Symlink(filepath.Dir(path), link); err != nil {
		done()
		return "", nil, fmt.Errorf("make a short way to the socket %s: %w", path, err)
	}
	short = filepath.Join(link, filepath.Base(path))
	if len(short) > maxSocketPath {
		done()
		return "", nil, fmt.Errorf("the path of the socket %s is too long, and so is the temporary folder's: set TMPDIR to a short one", path)
	}
	return short, done, nil
}
