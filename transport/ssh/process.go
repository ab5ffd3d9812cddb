package ssh

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"rbee.dev/rbee/ops"
)

// maxNoise is how much output before the command's own is read past: what a
// login shell prints as it starts.
const maxNoise = 1 << 20

// killGrace is how long a command has to end by itself once it was told to.
const killGrace = 500 * time.Millisecond

// killTime bounds what is done to end a command that does not.
const killTime = 5 * time.Second

// Process is a command that runs on the other machine.
type Process struct {
	// Stdin is the command's standard input; closing it is its end.
	Stdin io.WriteCloser
	// Stdout is its standard output. It must be read, or the command waits.
	Stdout io.Reader

	conn    *Conn
	session *xssh.Session
	stderr  *tail
	pid     atomic.Int64 // of the command over there, once known
	exited  chan struct{}
	err     error         // of the session, once exited is closed
	dropped chan struct{} // closed once Close has given up the session
	end     sync.Once
}

// Start starts a command and leaves it running until it ends, [Process.Close]
// or the end of the connection. The context bounds the start alone: the start
// is done when the machine's shell has begun to run the command, whose own
// failures come later. Stdin of cmd is not used.
func (c *Conn) Start(ctx context.Context, cmd Command) (*Process, error) {
	line, marker, err := cmd.line()
	if err != nil {
		return nil, err
	}
	session, err := bounded(ctx, c, "open a session on", c.client.NewSession, closeSession)
	if err != nil {
		return nil, c.errSession(err)
	}
	p := &Process{conn: c, session: session, stderr: newTail(marker), exited: make(chan struct{}), dropped: make(chan struct{})}
	session.Stderr = p.stderr
	if err := p.start(ctx, line, marker); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func closeSession(s *xssh.Session) { _ = s.Close() }

func (c *Conn) errSession(err error) error {
	if refused, ok := errors.AsType[*xssh.OpenChannelError](err); ok {
		return ops.Errorf(ops.CodeUnavailable, "%s opens no more sessions: %w", c.name, refused).
			WithHint("its sshd_config may limit them (MaxSessions); try again")
	}
	return c.lost(err, "open a session on")
}

// lost gives a failure of the connection its code.
func (c *Conn) lost(err error, doing string) error {
	if _, ok := errors.AsType[*ops.Error](err); ok {
		return err
	}
	return ops.Errorf(ops.CodeUnavailable, "%s %s: %w", doing, c.name, err).WithHint("see whether the machine is still reachable, and try again")
}

// start sends the line and waits for the marker.
func (p *Process) start(ctx context.Context, line, marker string) error {
	stdin, err := p.session.StdinPipe()
	if err != nil {
		return p.conn.lost(err, "run a command on")
	}
	stdout, err := p.session.StdoutPipe()
	if err != nil {
		return p.conn.lost(err, "run a command on")
	}
	own := bufio.NewReaderSize(stdout, 32<<10)
	p.Stdin, p.Stdout = stdin, own
	begin := func() (struct{}, error) {
		if err := p.session.Start(line); err != nil {
			return struct{}{}, p.conn.lost(err, "run a command on")
		}
		if !p.conn.spawn(func() { p.err = p.session.Wait(); close(p.exited) }) {
			return struct{}{}, p.conn.Err()
		}
		return struct{}{}, p.skipNoise(own, marker)
	}
	_, err = bounded(ctx, p.conn, "run a command on", begin, func(struct{}) {})
	return err
}

// skipNoise reads up to the marker.
func (p *Process) skipNoise(r *bufio.Reader, marker string) error {
	var noise bytes.Buffer
	for noise.Len() < maxNoise {
		part, err := r.ReadSlice('\n')
		if i := bytes.Index(part, []byte(marker)); i >= 0 {
			pid, _ := strconv.ParseInt(strings.TrimSpace(string(part[i+len(marker):])), 10, 64)
			p.pid.Store(pid)
			return nil
		}
		noise.Write(part)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return p.errShell(noise.String())
		}
	}
	return p.errShell(noise.String())
}

// errShell is an account whose login shell did not run the command.
func (p *Process) errShell(said string) error {
	if !p.conn.lives() {
		return p.conn.Err()
	}
	said = strings.TrimSpace(strings.TrimSpace(said) + "\n" + p.stderr.String())
	if said == "" {
		said = "nothing"
	}
	return ops.Errorf(ops.CodeUnavailable, "the shell of %s did not run the command; it said: %s", p.conn.name, clip(said)).
		WithHint("see whether this account may run commands: ssh %s true", p.conn.hop.Name)
}

// Wait waits until the command has ended, by itself or by Close, and returns
// its exit status: 128 and the signal's number for one that a signal ended.
// The error is that of a lost connection, not of a command that failed.
func (p *Process) Wait() (int, error) {
	select {
	case <-p.exited:
	case <-p.dropped:
		return -1, ops.Errorf(ops.CodeCancelled, "the command on %s was ended", p.conn.name)
	}
	if p.err == nil {
		return 0, nil
	}
	if status, ok := errors.AsType[*xssh.ExitError](p.err); ok {
		return status.ExitStatus(), nil
	}
	if !p.conn.lives() {
		return -1, p.conn.Err()
	}
	return -1, p.conn.lost(fmt.Errorf("the command ended without a status: %w", p.err), "run a command on")
}

// Done is closed when the command has ended.
func (p *Process) Done() <-chan struct{} { return p.exited }

// Stderr is the end of what the command has written to its standard error so
// far, at most 16 KiB.
func (p *Process) Stderr() string { return p.stderr.String() }

// Close ends the command: asked first, then killed. It does not wait for that.
func (p *Process) Close() {
	p.end.Do(func() {
		if !p.conn.spawn(p.kill) {
			p.drop()
		}
	})
}

// drop gives the session up. A server may keep it until the command has ended.
func (p *Process) drop() {
	_ = p.session.Close()
	close(p.dropped)
}

// killScript ends the process group $1. It is the command's own: servers begin
// a session (setsid(2)) for each.
const killScript = `
kill -s TERM -- "-$1" 2>/dev/null && sleep 1 && kill -s KILL -- "-$1" 2>/dev/null
exit 0
`

// kill asks by a signal of the session's, and where that does not help by a
// command: OpenSSH passes no signals on for root, others for nobody.
func (p *Process) kill() {
	defer p.drop()
	select {
	case <-p.exited:
		return
	default:
	}
	if p.session.Signal(xssh.SIGTERM) != nil {
		return
	}
	grace := time.NewTimer(killGrace)
	defer grace.Stop()
	select {
	case <-p.exited:
		return
	case <-p.conn.done:
		return
	case <-grace.C:
	}
	pid := p.pid.Load()
	if pid <= 1 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), killTime)
	defer cancel()
	// Run would end what it starts in the same way, without end.
	if k, err := p.conn.Start(ctx, Command{Script: killScript, Args: []string{strconv.FormatInt(pid, 10)}}); err == nil {
		_ = k.Stdin.Close()
		select {
		case <-k.exited:
		case <-ctx.Done():
		case <-p.conn.done:
		}
		k.end.Do(k.drop)
	}
}
