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

	"rbee.dev/rbee/ops"
)

// maxSocketPath is the longest path that the kernels take for a socket
// (sun_path of unix(7) holds 108 bytes on Linux and 104 on macOS, with a NUL).
const maxSocketPath = 103

// unixIdle is how long a connection to a Unix socket is kept unused: making one
// takes some microseconds, and keeping one takes memory and two goroutines at
// either end.
const unixIdle = 2 * time.Second

// Unix returns options for a client of the daemon that listens on the Unix
// socket at path.
func Unix(path string) Options {
	return Options{KeepIdle: unixIdle, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		short, done, err := shortPath(path)
		if err != nil {
			return nil, err
		}
		defer done()
		return (&net.Dialer{}).DialContext(ctx, "unix", short)
	}}
}

// ListenUnix listens on a Unix socket at path, which only its owner can open.
// The folder must exist. A socket left behind by a dead process is replaced;
// one that somebody answers on is not, nor is a file that is no socket.
func ListenUnix(path string) (net.Listener, error) {
	short, done, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := listenUnix(short)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeStale(path, short); err != nil {
			return nil, fmt.Errorf("listen on %s: %w", path, err)
		}
		l, err = listenUnix(short)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	own, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", path, err), l.Close())
	}
	return socket{Listener: l, path: path, own: own}, nil
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

// removeStale removes the socket at path, also known as short, if nobody
// listens on it.
func removeStale(path, short string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		what := "file"
		if info.IsDir() {
			what = "folder"
		}
		return ops.Errorf(ops.CodeUnavailable, "a %s is where the socket belongs", what).WithHint("remove the %s %s", what, path)
	}
	c, err := net.DialTimeout("unix", short, time.Second) //nolint:noctx // bounded by its timeout
	switch {
	case err == nil:
		return errors.Join(errors.New("another process answers there"), c.Close())
	case !errors.Is(err, syscall.ECONNREFUSED): // a full queue, say: somebody is there
		return fmt.Errorf("another process may be there: %w", err)
	}
	return os.Remove(path)
}

// socket removes its path when it is closed.
type socket struct {
	net.Listener
	path string
	own  fs.FileInfo
}

// Close stops listening and removes the socket, unless somebody else's has
// taken its place. The path goes first: once nobody listens, the next process
// may replace it at any moment.
func (s socket) Close() error {
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.own) {
		if err := os.Remove(s.path); err != nil {
			return errors.Join(err, s.Listener.Close())
		}
	}
	return s.Listener.Close()
}

// shortPath returns a path for the socket at path that the kernel takes: path
// itself, or for a long one the same through a link to its folder that done
// removes.
func shortPath(path string) (short string, done func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return "", nil, fmt.Errorf("find the socket %s: %w", path, err)
	}
	dir, err := os.MkdirTemp("", "rbee")
	if err != nil {
		return "", nil, fmt.Errorf("make a short way to the socket %s: %w", path, err)
	}
	done = func() { _ = os.RemoveAll(dir) }
	link := filepath.Join(dir, "d")
	if err := os.Symlink(folder, link); err != nil {
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
