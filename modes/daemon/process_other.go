//go:build !linux

package daemon

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// startTime asks ps, which every Unix has. A zombie counts as gone.
func startTime(pid int) (string, error) {
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return "", fmt.Errorf("read start of process %d: %w", pid, err)
	}
	state, start, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if state == "" || strings.HasPrefix(state, "Z") {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	return strings.TrimSpace(start), nil
}

// used asks ps for the CPU time.
func used(pid int) (string, error) {
	out, err := exec.Command("ps", "-o", "time=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return "", fmt.Errorf("read what process %d has used: %w", pid, err)
	}
	return strings.TrimSpace(string(out)), nil
}
