package hive

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
)

// ownMemory is how much memory a process and those below it have that the
// system cannot drop: neither file nor shared, in bytes.
func ownMemory(pid int) (bytes uint64, known bool) {
	for _, p := range family(pid) {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p), "status"))
		if err != nil {
			continue // it has ended
		}
		if n, ok := kibibytes(text, "RssAnon:"); ok {
			bytes, known = bytes+n<<10, true
		}
	}
	return bytes, known
}

// kibibytes is the number on a line of /proc/PID/status (proc_pid_status(5)).
func kibibytes(status []byte, name string) (uint64, bool) {
	_, rest, ok := bytes.Cut(status, []byte("\n"+name))
	if !ok {
		return 0, false
	}
	fields := bytes.Fields(rest[:min(len(rest), 64)])
	if len(fields) == 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(fields[0]), 10, 50)
	return n, err == nil
}

// family is a process and all below it.
func family(pid int) []int {
	if pid <= 0 {
		return nil
	}
	list := []int{pid}
	for i := 0; i < len(list); i++ {
		children, ok := childrenOf(list[i])
		if !ok {
			return familyAmongAll(pid)
		}
		list = append(list, children...)
	}
	return list
}

// childrenOf reads what a process's threads have started: a list for each (proc(5),
// /proc/PID/task/TID/children). It is not ok where the kernel keeps no such lists.
func childrenOf(pid int) (list []int, ok bool) {
	threads := filepath.Join("/proc", strconv.Itoa(pid), "task")
	entries, err := os.ReadDir(threads)
	if err != nil {
		return nil, true // it has ended
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(threads, e.Name(), "children"))
		if err != nil {
			continue // it has ended
		}
		ok = true
		for _, field := range bytes.Fields(text) {
			if child, err := strconv.Atoi(string(field)); err == nil {
				list = append(list, child)
			}
		}
	}
	return list, ok
}

// familyAmongAll is family by looking at every process that there is, which takes
// milliseconds.
func familyAmongAll(pid int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if parent, ok := parentOf(child); ok {
			children[parent] = append(children[parent], child)
		}
	}
	list := []int{pid}
	for i := 0; i < len(list); i++ {
		list = append(list, children[list[i]]...)
	}
	return list
}

// parentOf reads /proc/PID/stat: the parent is the second field after the
// program's name, which may hold anything and is in brackets.
func parentOf(pid int) (int, bool) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 2 {
		return 0, false
	}
	parent, err := strconv.Atoi(string(fields[1]))
	return parent, err == nil
}
