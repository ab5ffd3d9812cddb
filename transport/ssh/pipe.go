package ssh

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/yamux"

	"rbee.dev/rbee/ops"
)

// The pipe carries yamux streams over the input and output of one command. A
// stream begins with the length of the socket's path (16 bits, big endian) and
// the path; the far side answers with a status byte, the length of a text and
// the text, which says why when the status is not pipeOK. Then both directions
// are frames; see [frames].

// pipeStatus is how the far side's dial went.
type pipeStatus byte

const (
	pipeOK pipeStatus = iota
	pipeAbsent
	pipeRefused
	pipeDenied
	pipeFailed
)

// maxSocketPath is the longest path that the pipe carries; kernels take less.
const maxSocketPath = 4096

// pipeConfig is the multiplexer's. Its own keepalive is off: the SSH
// connection has one. A write may wait for long behind a slow link.
func pipeConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.EnableKeepAlive = false
	c.ConnectionWriteTimeout = time.Minute
	c.MaxStreamWindowSize = 1 << 20
	c.LogOutput = io.Discard
	return c
}

// dialPipe connects to a socket through the pipe.
func (c *Conn) dialPipe(ctx context.Context, path string) (net.Conn, error) {
	if len(path) > maxSocketPath {
		return nil, ops.Errorf(ops.CodeInvalid, "the path of the socket is too long: %d bytes", len(path)).WithHint("use a shorter folder")
	}
	mux, process, err := c.pipe(ctx)
	if err != nil {
		return nil, err
	}
	open := func() (net.Conn, error) { return c.openPiped(ctx, mux, process, path) }
	return bounded(ctx, c, "dial "+path+" on", open, func(s net.Conn) { _ = s.Close() })
}

func (c *Conn) openPiped(ctx context.Context, mux *yamux.Session, process *Process, path string) (net.Conn, error) {
	s, err := mux.OpenStream()
	if err != nil {
		return nil, c.errPipe(process, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.SetDeadline(time.Unix(1, 0)) })
	status, text, err := askFar(s, path)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	switch {
	case err != nil:
		_ = s.Close()
		return nil, c.errPipe(process, err)
	case status != pipeOK:
		_ = s.Close()
		return nil, c.errFar(path, status, text)
	}
	return newFrames(c, s, path), nil
}

// askFar sends the header and reads the answer.
func askFar(s io.ReadWriter, path string) (status pipeStatus, text string, err error) {
	if _, err := s.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(path))), path...)); err != nil {
		return 0, "", err
	}
	head := make([]byte, 3)
	if _, err := io.ReadFull(s, head); err != nil {
		return 0, "", err
	}
	rest := make([]byte, binary.BigEndian.Uint16(head[1:]))
	_, err = io.ReadFull(s, rest)
	return pipeStatus(head[0]), string(rest), err
}

// pipe starts the far side, unless it runs.
func (c *Conn) pipe(ctx context.Context) (*yamux.Session, *Process, error) {
	t := &c.tunnel
	select {
	case t.starting <- struct{}{}:
		defer func() { <-t.starting }()
	case <-ctx.Done():
		return nil, nil, errContext(ctx, "open a pipe to", c.name)
	}
	if t.mux != nil && !t.mux.IsClosed() {
		return t.mux, t.process, nil
	}
	p, err := c.Start(ctx, c.options.Pipe)
	if err != nil {
		return nil, nil, err
	}
	mux, err := yamux.Client(processPipe{p}, pipeConfig())
	if err != nil {
		p.Close()
		return nil, nil, ops.Errorf(ops.CodeInternal, "open a pipe to %s: %w", c.name, err)
	}
	t.mux, t.process = mux, p
	// The multiplexer's goroutines end with the command's output, which the
	// end of the connection ends.
	if !c.spawn(func() { <-mux.CloseChan(); _ = mux.Close() }) {
		_ = mux.Close()
		return nil, nil, c.Err()
	}
	return mux, p, nil
}

// errPipe is a pipe that does not work: mostly, a command that is not there.
func (c *Conn) errPipe(p *Process, err error) error {
	if gone := c.Err(); gone != nil {
		return gone
	}
	select {
	case <-p.Done(): // a moment after its output
	case <-time.After(killGrace):
	}
	said := strings.TrimSpace(p.Stderr())
	if said != "" {
		said = "; it said: " + clip(said)
	}
	return ops.Errorf(ops.CodeUnavailable, "%s forwards no socket there, and the command that would does not work: %w%s", c.name, err, said).
		WithHint("see whether rbee is installed there and what should listen runs, or allow AllowStreamLocalForwarding in its sshd_config")
}

// processPipe is a command's input and output as one.
type processPipe struct{ p *Process }

func (r processPipe) Read(b []byte) (int, error)  { return r.p.Stdout.Read(b) }
func (r processPipe) Write(b []byte) (int, error) { return r.p.Stdin.Write(b) }

// Close leaves the input open: the library cannot close it while a Write, which
// may wait, is under way.
func (r processPipe) Close() error {
	r.p.Close()
	return nil
}
