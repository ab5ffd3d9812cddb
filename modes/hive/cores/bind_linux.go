package cores

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Bind has the running process pid, with all its threads, run on the CPUs given
// and on no others. A thread that it starts later inherits that of the one that
// starts it. The error of a process that is gone is os.ErrProcessDone.
func Bind(pid int, cpus []int) error {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	done := map[string]bool{}
	for fresh := true; fresh; { // threads that were started meanwhile
		fresh = false
		entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
		if errors.Is(err, os.ErrNotExist) {
			return os.ErrProcessDone
		}
		if err != nil {
			return fmt.Errorf("list the threads of process %d: %w", pid, err)
		}
		for _, e := range entries {
			thread, err := strconv.Atoi(e.Name())
			if err != nil || done[e.Name()] {
				continue
			}
			done[e.Name()], fresh = true, true
			if err := unix.SchedSetaffinity(thread, &set); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("bind process %d: %w", pid, err)
			}
		}
	}
	return nil
}
