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
	if len(os.Args) == 4 && os.Args[1] == bareProxy {
		os.Exit(serveBareProxy(os.Args[2], os.Args[3]))
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
	program, races := binary, ""
	if raced {
		program, races = watched(t)
	}
	testscript.Run(t, testscript.Params{
		Dir: "../testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"))
			e.Setenv("RBEE_HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("RBEE_LISTEN", "127.0.0.1:0")
			e.Setenv("RBEE", program)
			e.Setenv("GORACE", races)
			e.Setenv("TINYBEE", absolute("../testdata/tinybee.gguf"))
			e.Setenv(llamacpp.PathEnv, os.Getenv(llamacpp.PathEnv))
			e.Defer(func() {
				stop := exec.Command(program, "queen", "stop")
				stop.Env = e.Vars
				if out, err := stop.CombinedOutput(); err != nil {
					t.Errorf("queen stop: %v: %s", err, out)
				}
			})
			return nil
		},
	})
}

// watched builds an rbee with the race detector in it, and returns its path and the
// GORACE that has each of its processes write what is seen where the test's end
// finds it: a daemon's log nobody would read.
func watched(t *testing.T) (program, races string) {
	t.Helper()
	dir := t.TempDir()
	program = filepath.Join(dir, "rbee")
	if out, err := exec.Command("go", "build", "-race", "-o", program, "rbee.dev/rbee").CombinedOutput(); err != nil {
		t.Fatalf("build rbee with the race detector: %v: %s", err, out)
	}
	t.Cleanup(func() {
		logs, err := filepath.Glob(filepath.Join(dir, "race.*")) // .PID
		if err != nil {
			t.Fatal(err)
		}
		for _, log := range logs {
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			t.Errorf("a process of rbee's: %s", text)
		}
	})
	return program, "log_path=" + filepath.Join(dir, "race")
}

func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		panic(err)
	}
	return abs
}
