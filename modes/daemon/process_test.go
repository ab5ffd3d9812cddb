package daemon

import (
	"os/exec"
	"testing"
)

// TestWhatAProcessHasUsedChangesWhileItDoesSomething: and while it sleeps it does not.
func TestWhatAProcessHasUsedChangesWhileItDoesSomething(t *testing.T) {
	self := Self()
	before := self.Used()
	for self.Used() == before { // the look itself is work
		_ = make([]byte, 1<<20)
	}
	sleeps := exec.CommandContext(t.Context(), "sleep", "1000")
	if err := sleeps.Start(); err != nil {
		t.Fatal(err)
	}
	sleeper := ProcessOf(sleeps.Process.Pid)
	still := 0
	for last := ""; still < 100; still++ { // once it sleeps
		if now := sleeper.Used(); now != last {
			last, still = now, 0
		}
	}
	if err := sleeps.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = sleeps.Wait()
	if used := sleeper.Used(); used != "" {
		t.Errorf("of one that is gone it is told %q", used)
	}
}
