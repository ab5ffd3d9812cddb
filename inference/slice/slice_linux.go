package slice

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Slices in nanoseconds: the shortest that the kernel grants, and what stands for
// its own choice.
const (
	short = 100_000
	usual = 0
)

// Short has all threads of this process, and those that it starts later, run as
// soon as they wake and for a short time. It fails where the kernel does not know
// such a call, or refuses it.
func Short() error { return everywhere(short) }

// Usual undoes [Short], which processes inherit.
func Usual() error { return everywhere(usual) }

// UsualHere undoes [Short] for the calling thread alone and so for the processes
// that it starts, until back is called. The caller has locked its thread.
func UsualHere() (back func()) {
	a, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return func() {} // nor was it ever changed
	}
	before := a.Runtime
	_ = set(0, usual) // a child with short slices is no fault
	return func() { _ = set(0, before) }
}

// everywhere sets the slice of each thread. A thread starts with that of the one
// that starts it, so those that come meanwhile are looked for once more.
func everywhere(ns uint64) error {
	done := map[string]bool{}
	for fresh := true; fresh; {
		fresh = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("list the own threads: %w", err)
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil || done[t.Name()] {
				continue
			}
			done[t.Name()], fresh = true, true
			if err := set(id, ns); err != nil {
				return err
			}
		}
	}
	return nil
}

// set changes the slice of one ordinary thread and nothing else of it.
func set(thread int, ns uint64) error {
	a, err := unix.SchedGetAttr(thread, 0)
	if err == nil && a.Policy == unix.SCHED_NORMAL {
		a.Runtime = ns
		err = unix.SchedSetAttr(thread, a, 0)
	}
	if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended
		return fmt.Errorf("set the time slice of thread %d: %w", thread, err)
	}
	return nil
}
