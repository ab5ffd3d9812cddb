package worker_test

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
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/modes/worker"
	"rbee.dev/rbee/ops"
)

// asWorker in the environment makes the test binary a worker: "builtin" with
// the real engine, "paced" with one for tests.
const asWorker = "RBEE_TEST_WORKER"

func TestMain(m *testing.M) {
	if kind := os.Getenv(asWorker); kind != "" {
		os.Exit(serve(kind))
	}
	_ = os.Setenv(llamacpp.PathEnv, llamacpp.None) // what is installed here does not matter
	goleak.VerifyTestMain(m)
}

// serve is the binary's main as a worker.
func serve(kind string) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() { cancel(daemon.Signal{Signal: <-signals}) }()
	h, err := home.Find(os.Getenv)
	if err != nil {
		panic(err)
	}
	var cmd worker.ServeCmd
	if kind == "paced" {
		cmd.Engines = map[string]worker.Open{"builtin": paced(enginetest.Options{Pace: 5 * time.Millisecond, Pieces: 10_000})}
	}
	parser, err := kong.New(&cmd)
	if err != nil {
		panic(err)
	}
	if _, err := parser.Parse(os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if err := cmd.Run(ctx, h, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "rbee:", err)
		return ops.CodeOf(err).ExitCode()
	}
	return 0
}

// paced opens an engine for tests that behaves as o says.
func paced(o enginetest.Options) worker.Open {
	return func(ctx context.Context, s inference.Spec) (inference.Engine, error) {
		e, err := enginetest.Open(ctx, s, o)
		if err != nil {
			return nil, err
		}
		return e, nil
	}
}
