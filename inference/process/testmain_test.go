package process

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// asServer in the environment makes the test binary the server program: its
// value says how it behaves.
const asServer = "RBEE_TEST_SERVER"

func TestMain(m *testing.M) {
	if how := os.Getenv(asServer); how != "" {
		os.Exit(serveAs(how))
	}
	goleak.VerifyTestMain(m)
}
