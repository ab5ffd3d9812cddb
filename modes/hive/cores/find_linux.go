package cores

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Find finds the cores that this process may use: those of its own affinity,
// within its control group's quota.
func Find() Cores {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return Cores{}
	}
	var allowed []int
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			allowed = append(allowed, cpu)
		}
	}
	return read("/", allowed)
}

// read reads what the system below root tells of the CPUs that are allowed.
func read(root string, allowed []int) Cores {
	c := Cores{Quota: quota(root)}
	known := map[string]int{} // siblings → place in the list
	for _, cpu := range allowed {
		siblings := line(root, "sys/devices/system/cpu/cpu"+strconv.Itoa(cpu)+"/topology/thread_siblings_list")
		i, ok := known[siblings]
		if !ok || siblings == "" {
			known[siblings] = len(c.List)
			c.List = append(c.List, Core{cpu})
			continue
		}
		c.List[i] = append(c.List[i], cpu)
	}
	slices.SortFunc(c.List, func(a, b Core) int { return a[0] - b[0] })
	return c
}

// quota is for how many CPUs' time the control group of this process may run, the
// least of it and those above it; 0 sets no bound (the kernel's documentation,
// cgroup-v2, cpu.max, and sched-bwc for version 1).
func quota(root string) float64 {
	least := 0.0
	for _, entry := range strings.Split(text(root, "proc/self/cgroup"), "\n") {
		fields := strings.SplitN(entry, ":", 3)
		if len(fields) < 3 {
			continue
		}
		folder := ""
		switch {
		case fields[1] == "":
			folder = "sys/fs/cgroup"
		case slices.Contains(strings.Split(fields[1], ","), "cpu"):
			folder = "sys/fs/cgroup/cpu"
		default:
			continue
		}
		for path := filepath.Clean("/" + fields[2]); ; path = filepath.Dir(path) {
			if q := quotaIn(root, folder+path); q > 0 && (least == 0 || q < least) {
				least = q
			}
			if path == "/" {
				break
			}
		}
	}
	return least
}

func quotaIn(root, folder string) float64 {
	time, period, found := strings.Cut(line(root, folder+"/cpu.max"), " ")
	if !found {
		time, period = line(root, folder+"/cpu.cfs_quota_us"), line(root, folder+"/cpu.cfs_period_us")
	}
	t, err := strconv.ParseFloat(time, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	if err != nil || err2 != nil || t <= 0 || p <= 0 { // "max", or -1
		return 0
	}
	return t / p
}

// line is the only line of a file, or "" when it cannot be read.
func line(root, name string) string { return strings.TrimSpace(text(root, name)) }

func text(root, name string) string {
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return ""
	}
	return string(b)
}
