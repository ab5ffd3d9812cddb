package hive

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// within bounds the machine's memory, all of it and what is free, by what the
// control groups leave that this process is in, and its workers with it: that of
// a container, or of a service with MemoryMax. root is the folder of proc and sys.
func within(root string, total, free uint64) (uint64, uint64) {
	text, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return total, free // a kernel without any
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(fields) < 3 {
			continue
		}
		for _, b := range controls {
			if !slices.Contains(strings.Split(fields[1], ","), b.controller) {
				continue
			}
			for _, folder := range groups(filepath.Join(root, b.mount), fields[2]) {
				total, free = b.apply(folder, total, free)
			}
		}
	}
	return total, free
}

// groups are the folders of a control group and those above it, in a hierarchy
// that is mounted at top. In a container the path may be one of the machine's, and
// top the container's own.
func groups(top, path string) []string {
	list := []string{top}
	folder := top
	for name := range strings.SplitSeq(filepath.Join("/", path), "/") {
		if name != "" {
			folder = filepath.Join(folder, name)
			list = append(list, folder)
		}
	}
	return list
}

// control is where one version of control groups says how much memory there may be.
type control struct {
	controller, mount string
	limits            []string // the least of them counts
	used              string
	cached            []string // lines of memory.stat: what could be dropped
}

// controls are those of version 2 (the kernel's documentation, "Control Group v2"),
// alone or beside version 1, and of version 1 ("Memory Resource Controller").
var controls = []control{
	{"", "sys/fs/cgroup", []string{"memory.max", "memory.high"}, "memory.current", []string{"active_file", "inactive_file"}},
	{"", "sys/fs/cgroup/unified", []string{"memory.max", "memory.high"}, "memory.current", []string{"active_file", "inactive_file"}},
	{"memory", "sys/fs/cgroup/memory", []string{"memory.limit_in_bytes"}, "memory.usage_in_bytes", []string{"total_active_file", "total_inactive_file"}},
}

// apply bounds the memory by one group's. A limit that is none is called max, or is
// more than any machine has.
func (b control) apply(folder string, total, free uint64) (uint64, uint64) {
	limit := total
	for _, name := range b.limits {
		if n := bytesIn(folder, name); n > 0 {
			limit = min(limit, n)
		}
	}
	if limit == total {
		return total, free
	}
	used := bytesIn(folder, b.used)
	for line := range strings.Lines(readAll(folder, "memory.stat")) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); slices.Contains(b.cached, name) {
			used -= min(used, number(value))
		}
	}
	return limit, min(free, limit-min(limit, used))
}

func readAll(folder, name string) string {
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return ""
	}
	return string(text)
}
