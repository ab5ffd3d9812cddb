package daemon

import (
	"errors"
	"os"
	"syscall"
)

// Process names one process for good: pids are used again, a pid together with
// its start time is not.
type Process struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // as the system tells it; only compared
}

// Self is the calling process.
func Self() Process { return ProcessOf(os.Getpid()) }

// ProcessOf is the process that has the pid now; its Start is "" when there is
// none.
func ProcessOf(pid int) Process {
	start, err := startTime(pid)
	if err != nil {
		return Process{PID: pid}
	}
	return Process{PID: pid, Start: start}
}

// Alive reports whether the process still runs. A zombie does not.
func (p Process) Alive() bool {
	if p.PID <= 0 || p.Start == "" {
		return false
	}
	start, err := startTime(p.PID)
	return err == nil && start == p.Start
}

// Used is what the process has used up to now, CPU time above all, as the system tells
// it: only compared, to see whether it does anything. "" is that nothing is told.
func (p Process) Used() string {
	text, err := used(p.PID)
	if err != nil {
		return ""
	}
	return text
}

// Signal sends sig to the process, unless its pid has become another's. A
// process that is gone is no error.
func (p Process) Signal(sig syscall.Signal) error {
	if !p.Alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
