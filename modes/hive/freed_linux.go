package hive

import (
	"os"
	"strings"
)

// zoneInfo is where the kernel tells of each CPU's lists of free pages
// (proc_zoneinfo(5)).
const zoneInfo = "/proc/zoneinfo"

// freed is how much memory is free and does not count as free to the kernel yet, in
// bytes: what lies on the lists that it keeps for each CPU. Since Linux 6.7 they grow
// to an eighth of the memory where a large process ends, and shrink over tens of
// seconds; who needs memory gets theirs at once.
func freed(file string) uint64 {
	text, err := os.ReadFile(file) //nolint:gosec // it is the kernel's
	if err != nil {
		return 0
	}
	var pages uint64
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "count:"); ok {
			pages += number(strings.TrimSpace(n))
		}
	}
	return pages * uint64(os.Getpagesize()) //nolint:gosec // not negative
}
