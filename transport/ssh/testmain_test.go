package ssh_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"

	"go.uber.org/goleak"

	"rbee.dev/rbee/transport/ssh"
)

// asPipe makes this program the far side of a pipe.
const asPipe = "RBEE_TEST_PIPE"

func TestMain(m *testing.M) {
	if os.Getenv(asPipe) != "" {
		if err := ssh.ServePipe(context.Background(), stdio{}, dialUnix); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

type stdio struct{}

func (stdio) Read(p []byte) (int, error)  { return os.Stdin.Read(p) }
func (stdio) Write(p []byte) (int, error) { return os.Stdout.Write(p) }
func (stdio) Close() error                { return errors.Join(os.Stdin.Close(), os.Stdout.Close()) }

func dialUnix(ctx context.Context, path string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", path)
}

// pipeCommand runs this program as the far side of a pipe.
func pipeCommand() ssh.Command {
	return ssh.Command{Argv: []string{os.Args[0]}, Env: map[string]string{asPipe: "1"}}
}
