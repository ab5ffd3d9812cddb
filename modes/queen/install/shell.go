package install

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
)

// Shell is an account on a machine: what runs commands and takes files.
// [*ssh.Conn] is one, [Here] another.
type Shell interface {
	// Run runs a script under /bin/sh. An exit code is no error.
	Run(ctx context.Context, c ssh.Command) (ssh.Output, error)
	// Upload puts a file there, whole or not at all.
	Upload(ctx context.Context, f ssh.File) error
}

var (
	_ Shell = (*ssh.Conn)(nil)
	_ Shell = Here{}
)

// Here is this machine's own account.
type Here struct{}

// Run runs the script here.
func (Here) Run(ctx context.Context, c ssh.Command) (ssh.Output, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", c.Script, "rbee"}, c.Args...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		return ssh.Output{}, context.Cause(ctx)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return ssh.Output{Stdout: out.Bytes(), Stderr: errs.Bytes(), Exit: exit.ExitCode()}, nil
	}
	return ssh.Output{Stdout: out.Bytes(), Stderr: errs.Bytes()}, err
}

// Upload copies the file.
func (Here) Upload(_ context.Context, f ssh.File) error {
	out, err := renameio.NewPendingFile(f.Path, renameio.WithPermissions(f.Mode), renameio.WithTempDir(filepath.Dir(f.Path)))
	if err != nil {
		return fmt.Errorf("copy to %s: %w", f.Path, err)
	}
	defer out.Cleanup() //nolint:errcheck // after the rename there is nothing left to clean
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(out, sum), f.Reader); err != nil {
		return fmt.Errorf("copy to %s: %w", f.Path, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
		return ops.Errorf(ops.CodeInternal, "the copy's SHA-256 is %s, not %s", got, f.SHA256)
	}
	return out.CloseAtomicallyReplace()
}

// run runs one of this package's scripts and returns what it printed. A script
// that fails is an error with what it said.
func run(ctx context.Context, s Shell, name string, args ...string) (string, error) {
	text, err := scripts.ReadFile("scripts/" + name + ".sh")
	if err != nil {
		return "", err
	}
	out, err := s.Run(ctx, ssh.Command{Script: string(text), Args: args})
	if err != nil {
		return "", err
	}
	if out.Exit != 0 {
		return "", &scriptError{name: name, exit: out.Exit, said: said(out)}
	}
	return string(out.Stdout), nil
}

// scriptError is a script that failed over there.
type scriptError struct {
	name string
	exit int
	said string
}

// Error is what the machine said.
func (e *scriptError) Error() string {
	if e.said == "" {
		return fmt.Sprintf("it ended with code %d and said nothing", e.exit)
	}
	return "it says: " + e.said
}

// openFile opens a binary for [Shell.Upload].
func openFile(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the binary: %w", err)
	}
	return f, nil
}

// said is the last lines of what a command printed, errors before output.
func said(out ssh.Output) string {
	text := strings.TrimSpace(string(out.Stderr))
	if text == "" {
		text = strings.TrimSpace(string(out.Stdout))
	}
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}
