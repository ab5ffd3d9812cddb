package hive

import (
	"bufio"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestAFamilyIsAProcessAndAllBelowItHoweverItIsFound(t *testing.T) {
	// A shell with a shell with a sleep, which tells the three.
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `echo $$; sh -c 'echo $$; sleep 60 & echo $!; wait; :'; :`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var want []int
	lines := bufio.NewScanner(out)
	for len(want) < 3 && lines.Scan() {
		pid, err := strconv.Atoi(strings.TrimSpace(lines.Text()))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, pid)
	}
	for name, find := range map[string]func(int) []int{"by the threads' lists": family, "among all processes": familyAmongAll} {
		if got := find(want[0]); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		if got := find(want[2]); !slices.Equal(got, want[2:]) {
			t.Errorf("%s: one without children: %v, want %v", name, got, want[2:])
		}
	}
	if got := family(0); got != nil {
		t.Errorf("of no process: %v", got)
	}
	if err := syscall.Kill(-want[0], syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was ended
	if got := family(want[0]); !slices.Equal(got, want[:1]) {
		t.Errorf("of one that has ended: %v", got)
	}
}
