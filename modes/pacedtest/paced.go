package pacedtest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/enginetest"
	"rbee.dev/rbee/modes"
	"rbee.dev/rbee/modes/hive"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/modes/worker"
)

// What is set in the environment of such an rbee.
const (
	// Pace is how long its engine takes for each token, a duration.
	Pace = "RBEE_TEST_PACE"
	// RoomFor is how much memory its hive has, in bytes; "" is the machine's.
	RoomFor = "RBEE_TEST_MEMORY"
	// EndsTo is the path of a socket that listens, which its engines tell how each of
	// their requests ended: an [Ended] in JSON. Their answers have no end of their own
	// then.
	EndsTo = "RBEE_TEST_ENDS"
)

// Main is rbee's, with the paced engine in place of the built-in one, and returns
// the exit code: real daemons that speak real HTTP.
func Main(args []string) int {
	pace := os.Getenv(Pace)
	memory, limited := os.LookupEnv(RoomFor)
	own := len(args) > 2 && args[2] == "serve" && (args[1] == "worker" || args[1] == "hive" && limited)
	if !own {
		return modes.Main(args, os.Stdin, os.Stdout, os.Stderr)
	}
	var commands struct {
		Hive struct {
			Serve hive.ServeCmd `cmd:""`
		} `cmd:""`
		Worker struct {
			Serve worker.ServeCmd `cmd:""`
		} `cmd:""`
	}
	commands.Worker.Serve.Engines = map[string]worker.Open{
		"builtin": func(ctx context.Context, s inference.Spec) (inference.Engine, error) {
			d, err := time.ParseDuration(pace)
			if err != nil {
				return nil, err
			}
			if socket := os.Getenv(EndsTo); socket != "" {
				return openTelling(ctx, s, d, socket)
			}
			return enginetest.Open(ctx, s, enginetest.Options{Pace: d, Pieces: 1000})
		},
	}
	commands.Hive.Serve.Memory = func(context.Context) (total, free uint64) {
		n, _ := strconv.ParseUint(memory, 10, 64)
		return n, n // less what its workers are estimated to take
	}
	parser, err := kong.New(&commands)
	if err == nil {
		var parsed *kong.Context
		if parsed, err = parser.Parse(args[1:]); err == nil {
			var h home.Home
			if h, err = home.Find(os.Getenv); err == nil {
				ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
				defer stop()
				parsed.BindTo(ctx, (*context.Context)(nil))
				parsed.BindTo(os.Stderr, (*io.Writer)(nil))
				parsed.Bind(h)
				err = parsed.Run()
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
