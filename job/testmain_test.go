package job_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victim); dir != "" {
		fmt.Fprintln(os.Stderr, serveAsVictim(dir))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
