package hive_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"go.uber.org/goleak"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/enginetest"
	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/hive"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/modes/worker"
	"rbee.dev/rbee/ops"
)

// The test binary is rbee too: hives start their workers from it. Workers run
// an engine for tests unless realEngine is set in the environment; loadTime is
// how long that one loads.
const (
	realEngine = "RBEE_TEST_REAL_ENGINE"
	loadTime   = "RBEE_TEST_LOAD"
)

// pieces is how many pieces of text an answer of the engine for tests has; the
// last comes about half a second after the first.
const pieces = 100

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[2] == "serve" {
		os.Exit(serve())
	}
	_ = os.Setenv(llamacpp.PathEnv, llamacpp.None) // what is installed here does not matter
	goleak.VerifyTestMain(m)
}

// serve is the binary's main as a hive or a worker.
func serve() int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() { cancel(daemon.Signal{Signal: <-signals}) }()
	h, err := home.Find(os.Getenv)
	if err != nil {
		panic(err)
	}
	var commands struct {
		Hive struct {
			Serve hive.ServeCmd `cmd:""`
		} `cmd:""`
		Worker struct {
			Serve worker.ServeCmd `cmd:""`
		} `cmd:""`
	}
	if os.Getenv(realEngine) == "" {
		commands.Worker.Serve.Engines = map[string]worker.Open{"builtin": paced, ops.EngineRPC: paced}
	}
	parser, err := kong.New(&commands)
	if err != nil {
		panic(err)
	}
	words, err := parser.Parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if words.Command() == "hive serve" {
		err = commands.Hive.Serve.Run(ctx, h, os.Stderr)
	} else {
		err = commands.Worker.Serve.Run(ctx, h, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "rbee:", err)
	}
	return ops.CodeOf(err).ExitCode() * min(1, len(ops.CodeOf(err)))
}

func paced(ctx context.Context, s inference.Spec) (inference.Engine, error) {
	load, err := time.ParseDuration("0" + os.Getenv(loadTime))
	if err != nil {
		return nil, err
	}
	return enginetest.Open(ctx, s, enginetest.Options{Pace: 5 * time.Millisecond, Pieces: pieces, Load: load})
}
