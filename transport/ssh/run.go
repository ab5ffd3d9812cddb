package ssh

import (
	"bytes"
	"context"
	"io"

	"rbee.dev/rbee/ops"
)

// maxOutput is how much of each output of a command [Conn.Run] keeps.
const maxOutput = 1 << 20

// Output is what a command has said.
type Output struct {
	// Stdout is the beginning of the standard output, at most 1 MiB.
	Stdout []byte
	// Stderr is the end of the standard error, at most 16 KiB.
	Stderr []byte
	// Exit is the exit status; 128 and the signal's number after a signal.
	Exit int
	// Truncated is set where Stdout is not all of it.
	Truncated bool
}

// Run runs a command to its end, which is that of its output: what it leaves
// running must have its outputs redirected. An exit status other than 0 is no error. When
// ctx ends first, the command is ended too, as far as the server passes
// signals on, and the error has the code cancelled or timeout.
func (c *Conn) Run(ctx context.Context, cmd Command) (Output, error) {
	p, err := c.Start(ctx, cmd)
	if err != nil {
		return Output{}, err
	}
	defer p.Close()
	fed := make(chan error, 1)
	if !c.spawn(func() { fed <- feed(p.Stdin, cmd.Stdin) }) {
		return Output{}, c.Err()
	}
	type result struct {
		out Output
		err error
	}
	ended := make(chan result, 1)
	collect := func() {
		var r result
		r.out.Stdout, r.out.Truncated = readAtMost(p.Stdout, maxOutput)
		r.out.Exit, r.err = p.Wait()
		r.out.Stderr = []byte(p.Stderr())
		ended <- r
	}
	if !c.spawn(collect) {
		return Output{}, c.Err()
	}
	var r result
	select {
	case <-ctx.Done():
		return Output{}, errContext(ctx, "run a command on", c.name)
	case r = <-ended:
	}
	select {
	case <-ctx.Done():
		return Output{}, errContext(ctx, "run a command on", c.name)
	case err := <-fed:
		if err != nil && r.err == nil {
			r.err = ops.Errorf(ops.CodeInternal, "read the input of a command: %w", err)
		}
	}
	return r.out, r.err
}

// feed writes the input and closes. A command that does not read all of it,
// or any, is no failure; an input that cannot be read is.
func feed(w io.WriteCloser, r io.Reader) error {
	defer func() { _ = w.Close() }()
	if r == nil {
		return nil
	}
	in := &noted{r: r}
	_, _ = io.Copy(w, in)
	return in.err
}

// noted keeps the error of a reader.
type noted struct {
	r   io.Reader
	err error
}

func (n *noted) Read(p []byte) (int, error) {
	k, err := n.r.Read(p)
	if err != nil && err != io.EOF {
		n.err = err
	}
	return k, err
}

// readAtMost reads to the end and keeps the beginning.
func readAtMost(r io.Reader, limit int64) (kept []byte, truncated bool) {
	var b bytes.Buffer
	_, _ = io.Copy(&b, io.LimitReader(r, limit))
	over, _ := io.Copy(io.Discard, r)
	return b.Bytes(), over > 0
}
