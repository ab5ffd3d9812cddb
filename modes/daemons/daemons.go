// Package daemons is the part of rbee's command tree that daemons are started by.
// It stands by itself since the whole tree takes a third of the time in which a
// daemon starts, and since tests run daemons of which they have changed something.
package daemons

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/hive"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/modes/queen"
	"rbee.dev/rbee/modes/worker"
	"rbee.dev/rbee/ops"
)

// Commands are `rbee queen serve`, `rbee hive serve` and `rbee worker serve`.
type Commands struct {
	Queen struct {
		Serve queen.ServeCmd `cmd:""`
	} `cmd:""`
	Hive struct {
		Serve hive.ServeCmd `cmd:""`
	} `cmd:""`
	Worker struct {
		Serve worker.ServeCmd `cmd:""`
	} `cmd:""`
}

// Engine has workers take the engine called name from open. Once it is called, they
// have those engines only for which it was.
func (c *Commands) Engine(name string, open func(context.Context, inference.Spec) (inference.Engine, error)) {
	if c.Worker.Serve.Engines == nil {
		c.Worker.Serve.Engines = map[string]worker.Open{}
	}
	c.Worker.Serve.Engines[name] = open
}

// Main is the main function of a program for tests: it runs the daemon that the
// words name until SIGTERM or Ctrl-C, and returns the exit code.
func (c *Commands) Main(words []string) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() { cancel(daemon.Signal{Signal: <-signals}) }()
	if err := c.run(ctx, words); err != nil {
		fmt.Fprintln(os.Stderr, "rbee:", err)
		return ops.CodeOf(err).ExitCode()
	}
	return 0
}

func (c *Commands) run(ctx context.Context, words []string) error {
	h, err := home.Find(os.Getenv)
	if err != nil {
		return err
	}
	parser, err := kong.New(c)
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(words)
	if err != nil {
		return ops.Errorf(ops.CodeInvalid, "%w", err)
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.BindTo(os.Stderr, (*io.Writer)(nil))
	parsed.Bind(h)
	return parsed.RunNode(parsed.Selected())
}
