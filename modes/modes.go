// Package modes is rbee's command tree and the choice of mode: keeper, queen,
// hive or worker, by the name that the binary is called by and by its first
// words. What each mode does is in the packages below, which do not know each
// other.
package modes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/keeper"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// The exit codes of rbee, beside those of the operations' errors.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitCancelled   = 130
)

// links is what rbee does under other names: the words that the name stands
// for.
var links = map[string][]string{
	"rbee-keeper":     nil,
	"queen-rbee":      {"queen", "serve"},
	"rbee-hive":       {"hive", "serve"},
	"llm-worker-rbee": {"worker", "serve"},
}

// Main runs rbee and returns its exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, signals, stop := withSignals()
	defer stop()
	words := called(filepath.Base(args[0]), args[1:])
	return report(run(ctx, signals, words, stdin, stdout, stderr), stderr)
}

// called are the words of a command line under the name that the binary is called
// by: what the name says may be said again.
func called(name string, words []string) []string {
	if mode := links[name]; len(mode) > 0 {
		if len(words) > 0 && words[0] == mode[1] {
			words = words[1:]
		}
		return slices.Concat(mode, words)
	}
	if len(words) > 0 && words[0] == "keeper" {
		words = words[1:]
	}
	return words
}

// report tells the person what went wrong and returns the exit code.
func report(err error, stderr io.Writer) int {
	if err == nil {
		return exitDone
	}
	if e, ok := errors.AsType[exit](err); ok {
		return int(e)
	}
	if readerGone(err) {
		return exitCancelled // nobody reads what was asked for
	}
	if _, ok := errors.AsType[daemon.Signal](err); ok || errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "rbee: cancelled")
		return exitCancelled
	}
	e := ops.AsError(err)
	message := e.Error()
	if usage, ok := errors.AsType[usageError](err); ok {
		message = usage.Error()
	}
	fmt.Fprintf(stderr, "rbee: %s\n", ops.Printable(strings.TrimSpace(message)))
	if e.Hint != "" {
		fmt.Fprintf(stderr, "      %s\n", ops.Printable(e.Hint))
	}
	if errors.Is(err, transport.ErrUnreachable) {
		return exitUnreachable
	}
	return e.Code.ExitCode()
}

// readerGone reports whether a command ended because standard output was closed,
// as by `| head -1`. Other errors of writing are to be told.
func readerGone(err error) bool {
	if errors.Is(err, keeper.ErrReaderGone) {
		return true
	}
	write, ok := errors.AsType[*fs.PathError](err)
	return ok && write.Path == os.Stdout.Name() && errors.Is(err, syscall.EPIPE)
}
