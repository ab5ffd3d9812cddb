package pacedtest

import (
	"context"
	"os"
	"strconv"
	"time"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/enginetest"
	"rbee.dev/rbee/modes"
	"rbee.dev/rbee/modes/daemons"
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
	// MemoryAt is the path of a socket at which its queen tells of her [Memory].
	MemoryAt = "RBEE_TEST_MEMORY_AT"
)

// Main is rbee's, with the paced engine in place of the built-in one, and returns
// the exit code: real daemons that speak real HTTP.
func Main(args []string) int {
	tellMemory(args)
	pace := os.Getenv(Pace)
	memory, limited := os.LookupEnv(RoomFor)
	own := len(args) > 2 && args[2] == "serve" && (args[1] == "worker" || args[1] == "hive" && limited)
	if !own {
		return modes.Main(args, os.Stdin, os.Stdout, os.Stderr)
	}
	var c daemons.Commands
	c.Engine("builtin", func(ctx context.Context, s inference.Spec) (inference.Engine, error) {
		d, err := time.ParseDuration(pace)
		if err != nil {
			return nil, err
		}
		if socket := os.Getenv(EndsTo); socket != "" {
			return openTelling(ctx, s, d, socket)
		}
		return enginetest.Open(ctx, s, enginetest.Options{Pace: d, Pieces: 1000})
	})
	c.Hive.Serve.Memory = func(context.Context) (total, free uint64) {
		n, _ := strconv.ParseUint(memory, 10, 64)
		return n, n // less what its workers are estimated to take
	}
	return c.Main(args[1:])
}
