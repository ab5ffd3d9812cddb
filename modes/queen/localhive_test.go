package queen

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/modes/home"
)

func TestAStopWaitsForAHiveThatIsJustBeingStarted(t *testing.T) {
	h, err := home.Find(func(name string) string { return map[string]string{"RBEE_HOME": t.TempDir()}[name] })
	if err != nil {
		t.Fatal(err)
	}
	l := newLocalHive(h, "/nowhere/rbee", "build", zerolog.Nop())
	t.Cleanup(l.Close)
	l.starting <- struct{}{} // a start is on its way
	stopped := make(chan error, 1)
	go func() { stopped <- l.stop(t.Context()) }()
	select {
	case err := <-stopped:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if <-l.starting; <-stopped != nil {
		t.Error("it failed, though no hive was started")
	}
	if err := l.ensure(t.Context()); err == nil {
		t.Error("a hive that was stopped is started again")
	}
}

// TestAHiveThatIsKilledWhileItStartsIsStartedOnceMore: the second one is killed too.
func TestAHiveThatIsKilledWhileItStartsIsStartedOnceMore(t *testing.T) {
	root := t.TempDir()
	h, err := home.Find(func(name string) string { return map[string]string{"RBEE_HOME": root}[name] })
	if err != nil {
		t.Fatal(err)
	}
	starts, program := filepath.Join(root, "starts"), filepath.Join(root, "rbee")
	script := "#!/bin/sh\necho x >>'" + starts + "'\nkill -9 $$\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	l := newLocalHive(h, program, "build", zerolog.Nop())
	t.Cleanup(l.Close)
	if err := l.ensure(t.Context()); !errors.Is(err, errKilled) || !strings.Contains(err.Error(), "the hive ended before it was up: killed by signal 9") {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(starts); err != nil || string(text) != "x\nx\n" {
		t.Errorf("it was started %q, %v", text, err)
	}
}
