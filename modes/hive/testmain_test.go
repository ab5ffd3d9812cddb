package hive_test

import (
	"context"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/enginetest"
	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/modes/daemons"
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
	var c daemons.Commands
	if os.Getenv(realEngine) == "" {
		c.Engine("builtin", paced)
		c.Engine(ops.EngineRPC, paced)
	}
	return c.Main(os.Args[1:])
}

func paced(ctx context.Context, s inference.Spec) (inference.Engine, error) {
	load, err := time.ParseDuration("0" + os.Getenv(loadTime))
	if err != nil {
		return nil, err
	}
	return enginetest.Open(ctx, s, enginetest.Options{Pace: 5 * time.Millisecond, Pieces: pieces, Load: load})
}
