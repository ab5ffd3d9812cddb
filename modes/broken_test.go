package modes_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

// TestAnEngineThatCannotBeStartedAgainHoldsNobodyUp kills an engine whose command
// line fails from then on, as one does whose driver is gone.
func TestAnEngineThatCannotBeStartedAgainHoldsNobodyUp(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := newPlace(t)
	folder := t.TempDir()
	script, pid, gone := filepath.Join(folder, "engine"), filepath.Join(folder, "pid"), filepath.Join(folder, "gone")
	text := fmt.Sprintf("#!/bin/sh\ntest -e '%s' && { echo the driver is gone >&2; exit 9; }\necho $$ >'%s'\nexec '%s' %s \"$1\"\n", gone, pid, exe, toolbee)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	p.rbee("model", "download", absolute(filepath.Join("..", "testdata", "tinybee.gguf")), "--name", toolbee)
	p.rbee("worker", "spawn", toolbee, "--engine", "command", "--command", script+" {socket}")
	if err := os.WriteFile(gone, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	running, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(running)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	answer := p.rbee("infer", "-m", toolbee, "--max-tokens", "5", "Once upon a time")
	if strings.TrimSpace(answer) == "" || strings.HasPrefix(answer, "It is") {
		t.Errorf("another worker was to answer, and it says %q", answer)
	}
	var list ops.Workers
	if err := json.Unmarshal([]byte(p.rbee("worker", "list", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	broken := ""
	for _, w := range list.Workers {
		if w.Engine == "command" && w.FailedStarts > 1 && strings.Contains(w.Error, "the driver is gone") {
			broken = w.ID
		}
	}
	if broken == "" || len(list.Workers) != 2 {
		t.Fatalf("the workers are %+v", list.Workers)
	}
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(2 * time.Minute)
	for back := false; !back; time.Sleep(50 * time.Millisecond) {
		var w ops.Worker
		if err := json.Unmarshal([]byte(p.rbee("worker", "get", broken, "-o", "json")), &w); err != nil {
			t.Fatal(err)
		}
		if back = w.State == ops.WorkerReady && w.FailedStarts == 0 && w.Error == ""; !back && time.Now().After(deadline) {
			t.Fatalf("it is not back: %+v", w)
		}
	}
}
