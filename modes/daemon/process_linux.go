package daemon

import (
	"fmt"
	"os"
	"strings"
)

// startTime reads field 22 of /proc/PID/stat, the start in clock ticks since boot. A
// zombie counts as gone.
func startTime(pid int) (string, error) {
	fields, err := stat(pid)
	if err != nil {
		return "", err
	}
	if state := fields[0]; state == "Z" || state == "X" {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	return fields[19], nil
}

// used reads fields 10, 12, 14 and 15: the pages that it has touched and had read from
// a disk, and its CPU time in clock ticks.
func used(pid int) (string, error) {
	fields, err := stat(pid)
	if err != nil {
		return "", err
	}
	return strings.Join([]string{fields[7], fields[9], fields[11], fields[12]}, " "), nil
}

// stat are the fields of /proc/PID/stat from the third on (proc_pid_stat(5)).
func stat(pid int) ([]string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	// The second field is the command in parentheses and may hold anything.
	_, rest, ok := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return nil, fmt.Errorf("read what process %d is: unexpected /proc/%d/stat", pid, pid)
	}
	return fields, nil
}
