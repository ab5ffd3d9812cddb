package process

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/PID/stat: USER_HZ, which is 100 on every
// system that Go runs on.
const tick = 10 * time.Millisecond

// useOf adds up what the processes of a child's group have used (proc_pid_stat(5):
// field 5 is the group, 14 and 15 the times).
func useOf(c *child) use {
	u := use{at: time.Now()}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return u
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it has just ended
		}
		_, rest, _ := strings.Cut(string(text), ") ") // after the name: fields from the third
		fields := strings.Fields(rest)
		if len(fields) < 13 || fields[2] != strconv.Itoa(c.pid) {
			continue
		}
		for _, field := range fields[11:13] {
			if n, err := strconv.ParseInt(field, 10, 64); err == nil {
				u.cpu, u.known = u.cpu+time.Duration(n)*tick, true
			}
		}
		u.read += readBy(filepath.Dir(f))
	}
	return u
}

// readBy is how many bytes a process has read: by calls, and from the disk
// (proc_pid_io(5)). What came both ways counts twice, which does not matter here.
func readBy(folder string) (bytes uint64) {
	text, err := os.ReadFile(filepath.Join(folder, "io"))
	if err != nil {
		return 0 // it has just ended, or is none that may be looked at
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.ParseUint(value, 10, 64); err == nil && (name == "rchar" || name == "read_bytes") {
			bytes += n
		}
	}
	return bytes
}
