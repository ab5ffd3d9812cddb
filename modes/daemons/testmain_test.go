package daemons_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"rbee.dev/rbee/modes/daemons"
)

// asRbee in the environment makes the test binary the program that [daemons.Commands.Main]
// is for.
const asRbee = "RBEE_TEST_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(asRbee) != "" {
		os.Exit(new(daemons.Commands).Main(os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}
