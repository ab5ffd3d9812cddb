package hive

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"rbee.dev/rbee/transport"
	"rbee.dev/rbee/transport/ssh"
)

// PipeCmd is `rbee hive pipe`.
type PipeCmd struct{}

// Help is shown by --help.
func (PipeCmd) Help() string {
	return `Carries connections to this machine's sockets over standard input and output.
The queen runs it over SSH where the server forwards no sockets; it is of no use
by hand.

Example:
  ssh gpu1 rbee hive pipe`
}

// Run serves until the other side hangs up.
func (PipeCmd) Run(ctx context.Context) error {
	var ends stdio
	for i, f := range []**os.File{&ends.in, &ends.out} {
		// So that closing it ends a Read that waits.
		if err := syscall.SetNonblock(i, true); err != nil {
			return fmt.Errorf("take over standard input and output: %w", err)
		}
		*f = os.NewFile(uintptr(i), "pipe") //nolint:gosec // 0 or 1
	}
	return ssh.ServePipe(ctx, ends, func(ctx context.Context, path string) (net.Conn, error) {
		return transport.Unix(path).DialContext(ctx, "", "")
	})
}

// stdio is standard input and output as one stream.
type stdio struct{ in, out *os.File }

// Read reads standard input.
func (s stdio) Read(p []byte) (int, error) { return s.in.Read(p) }

// Write writes standard output.
func (s stdio) Write(p []byte) (int, error) { return s.out.Write(p) }

// Close closes both.
func (s stdio) Close() error { return errors.Join(s.in.Close(), s.out.Close()) }
