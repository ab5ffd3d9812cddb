package ssh

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"sync/atomic"
	"syscall"

	"github.com/hashicorp/yamux"
	xssh "golang.org/x/crypto/ssh"

	"rbee.dev/rbee/ops"
)

// tunnel is how a connection reaches sockets.
type tunnel struct {
	// piped is set once the server was found to forward no sockets.
	piped atomic.Bool
	// starting takes one token: who has put it in may start the pipe.
	starting chan struct{}
	mux      *yamux.Session // the pipe, once there is one
	process  *Process       // behind mux
}

// DialContext connects to the Unix socket at path on the machine. The context
// bounds the dial alone. The connection has deadlines and CloseWrite; one cut
// short reads [io.ErrUnexpectedEOF], never a clean end: [ErrLost] where the one to the
// machine has ended.
//
// A server that forwards no sockets is spoken with through [Options.Pipe], once
// that was found out. OpenSSH gives the same answer for a socket that is not
// there and for one that it may not forward; so after a refusal the pipe is
// asked, which knows. Without a pipe the error can only name both.
//
// The errors have the code unavailable (nothing listens: then the cause is
// [fs.ErrNotExist] or [syscall.ECONNREFUSED] where that is known), denied,
// timeout or cancelled.
func (c *Conn) DialContext(ctx context.Context, path string) (net.Conn, error) {
	if c.tunnel.piped.Load() {
		return c.dialPipe(ctx, path)
	}
	direct, err := c.dialDirect(ctx, path)
	refusal, refused := errors.AsType[*xssh.OpenChannelError](err)
	switch {
	case err == nil:
		return direct, nil
	case !refused:
		return nil, c.lost(err, "dial "+path+" on")
	case c.options.Pipe.IsZero():
		return nil, c.errSocket(path, refusal)
	}
	piped, err := c.dialPipe(ctx, path)
	if err != nil {
		return nil, err
	}
	if refusal.Reason == xssh.ConnectionFailed {
		// The socket may not have been there a moment ago; ask once more
		// before the whole connection goes the longer way.
		if direct, err := c.dialDirect(ctx, path); err == nil {
			_ = piped.Close()
			return direct, nil
		}
	}
	c.tunnel.piped.Store(true)
	return piped, nil
}

// dialDirect asks the server to forward the socket.
func (c *Conn) dialDirect(ctx context.Context, path string) (net.Conn, error) {
	open := func() (net.Conn, error) {
		ch, err := c.client.Dial("unix", path)
		if err != nil {
			return nil, err
		}
		return newStream(c, ch.(halfConn), path), nil // an [xssh.Channel] is inside
	}
	return bounded(ctx, c, "dial "+path+" on", open, func(s net.Conn) { _ = s.Close() })
}

// errSocket is a refusal of which nobody can tell the reason.
func (c *Conn) errSocket(path string, err *xssh.OpenChannelError) error {
	if err.Reason == xssh.ConnectionFailed {
		return ops.Errorf(ops.CodeUnavailable, "dial %s on %s: nothing listens there, or the server does not forward sockets: %w", path, c.name, err).
			WithHint("see whether what should listen there runs, and whether sshd_config has AllowStreamLocalForwarding")
	}
	return ops.Errorf(ops.CodeDenied, "%s does not forward sockets: %w", c.name, err).
		WithHint("its sshd_config must have AllowStreamLocalForwarding yes")
}

// errFar is why the far side of a pipe could not dial.
func (c *Conn) errFar(path string, status pipeStatus, text string) error {
	hint := "see whether what should listen there runs"
	switch status {
	case pipeAbsent:
		return ops.Errorf(ops.CodeUnavailable, "dial %s on %s: there is no such socket: %w", path, c.name, fs.ErrNotExist).WithHint("%s", hint)
	case pipeRefused:
		return ops.Errorf(ops.CodeUnavailable, "dial %s on %s: nobody listens: %w", path, c.name, syscall.ECONNREFUSED).WithHint("%s", hint)
	case pipeDenied:
		return ops.Errorf(ops.CodeDenied, "dial %s on %s: %w", path, c.name, fs.ErrPermission).
			WithHint("the socket belongs to another account; connect as that one")
	}
	return ops.Errorf(ops.CodeUnavailable, "dial %s on %s: %s", path, c.name, clip(text)).WithHint("%s", hint)
}
