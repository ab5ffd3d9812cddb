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

// groupTime is how much processor time the processes of a group have used, those
// that still run (proc_pid_stat(5): field 5 is the group, 14 and 15 the times).
func groupTime(group int) (used time.Duration, known bool) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, false
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it has just ended
		}
		_, rest, _ := strings.Cut(string(text), ") ") // after the name: fields from the third
		fields := strings.Fields(rest)
		if len(fields) < 13 || fields[2] != strconv.Itoa(group) {
			continue
		}
		for _, field := range fields[11:13] {
			if n, err := strconv.ParseInt(field, 10, 64); err == nil {
				used, known = used+time.Duration(n)*tick, true
			}
		}
	}
	return used, known
}
