package daemons_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rbee.dev/rbee/modes/daemon"
)

func TestADaemonEndsAsItIsAskedTo(t *testing.T) {
	for _, tt := range []struct {
		words  string
		code   int
		ending syscall.Signal // 0 ends by itself
	}{
		{"hive serve", 0, syscall.SIGTERM},
		{"hive serve", 0, syscall.SIGINT},
		{"queen serve --listen 127.0.0.1:0", 0, syscall.SIGTERM},
		{"hive serve --idle-timeout soon", 2, 0},
		{"queen serve --listen nowhere", 2, 0},
		{"bee serve", 2, 0},
	} {
		home := t.TempDir()
		cmd := exec.CommandContext(t.Context(), os.Args[0], strings.Fields(tt.words)...)
		cmd.Env = append(os.Environ(), asRbee+"=1", "RBEE_HOME="+home, daemon.DetachedEnv+"=1") // its log is standard error
		said, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for lines := bufio.NewScanner(said); lines.Scan(); {
			all.WriteString(lines.Text() + "\n")
			if tt.ending != 0 && strings.Contains(lines.Text(), " is up") {
				if err := cmd.Process.Signal(tt.ending); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // what counts is its code
		if code := cmd.ProcessState.ExitCode(); code != tt.code {
			t.Errorf("%s exits with %d, want %d: %s", tt.words, code, tt.code, all.String())
		}
		if left, err := filepath.Glob(filepath.Join(home, "state", "*.[ps][io][dc]*")); err != nil || len(left) > 1 { // a lock file stays
			t.Errorf("%s leaves %v, %v", tt.words, left, err)
		}
	}
}
