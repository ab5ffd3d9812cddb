package modes_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/modes/pacedtest"
)

// binary is the rbee that the tests drive, as a person would.
var binary string

func TestMain(m *testing.M) {
	if pace := os.Getenv(pacedtest.Pace); pace != "" {
		os.Exit(pacedtest.Main(os.Args))
	}
	if len(os.Args) > 2 && os.Args[1] == toolbee {
		os.Exit(serveToolbee(os.Args[2]))
	}
	if len(os.Args) > 5 && os.Args[1] == strangeRPC {
		os.Exit(serveStrangeRPC(os.Args[3], os.Args[5]))
	}
	if queen := os.Getenv(asking); queen != "" {
		os.Exit(runAsking(queen, os.Args))
	}
	_ = os.Setenv(llamacpp.PathEnv, llamacpp.None) // what is installed here does not matter
	dir, err := os.MkdirTemp("", "rbee-test")
	if err == nil {
		binary = filepath.Join(dir, "rbee")
		var out []byte
		if out, err = exec.Command("go", "build", "-o", binary, "rbee.dev/rbee").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
	}
	code := 1
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, "build rbee:", err)
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// TestScripts runs what a person types, from testdata/script, each script with
// a home of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "../testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
			e.Setenv("RBEE_HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("RBEE_LISTEN", "127.0.0.1:0")
			e.Setenv("RBEE", binary)
			e.Setenv("TINYBEE", absolute("../testdata/tinybee.gguf"))
			e.Setenv(llamacpp.PathEnv, os.Getenv(llamacpp.PathEnv))
			e.Defer(func() {
				stop := exec.Command(binary, "queen", "stop")
				stop.Env = e.Vars
				if out, err := stop.CombinedOutput(); err != nil {
					t.Errorf("queen stop: %v: %s", err, out)
				}
			})
			return nil
		},
	})
}

func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		panic(err)
	}
	return abs
}
