//go:build linux

package cores

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree writes files below a new folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestTheSystemTellsOfItsCores(t *testing.T) {
	topology := func(siblings ...string) map[string]string {
		files := map[string]string{}
		for cpu, s := range siblings {
			files[fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu)] = s
		}
		return files
	}
	with := func(files map[string]string, more ...string) map[string]string {
		for i := 0; i < len(more); i += 2 {
			files[more[i]] = more[i+1]
		}
		return files
	}
	for _, c := range []struct {
		name    string
		files   map[string]string
		allowed []int
		want    Cores
	}{
		{"siblings", topology("0,2", "1,3", "0,2", "1,3"), []int{0, 1, 2, 3}, Cores{List: []Core{{0, 2}, {1, 3}}}},
		{"an affinity", topology("0,2", "1,3", "0,2", "1,3"), []int{1, 2, 3}, Cores{List: []Core{{1, 3}, {2}}}},
		{"no topology", nil, []int{0, 5}, Cores{List: []Core{{0}, {5}}}},
		{
			"a quota of a group above", with(topology("0", "1"), "proc/self/cgroup", "0::/a/b", "sys/fs/cgroup/a/b/cpu.max", "max 100000", "sys/fs/cgroup/a/cpu.max", "150000 100000"),
			[]int{0, 1},
			Cores{List: []Core{{0}, {1}}, Quota: 1.5},
		},
		{
			"the least quota", with(topology("0"), "proc/self/cgroup", "0::/a", "sys/fs/cgroup/a/cpu.max", "200000 100000", "sys/fs/cgroup/cpu.max", "400000 100000"),
			[]int{0},
			Cores{List: []Core{{0}}, Quota: 2},
		},
		{
			"version 1", with(topology("0"), "proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/a", "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "50000", "sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000"),
			[]int{0},
			Cores{List: []Core{{0}}, Quota: 0.5},
		},
		{
			"version 1 without a bound", with(topology("0"), "proc/self/cgroup", "4:cpu:/", "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000"),
			[]int{0},
			Cores{List: []Core{{0}}},
		},
		{"nonsense", with(topology("0"), "proc/self/cgroup", "x", "sys/fs/cgroup/cpu.max", "a b"), []int{0}, Cores{List: []Core{{0}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, read(tree(t, c.files), c.allowed)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestThisMachineHasCores(t *testing.T) {
	c := Find()
	if n := len(c.CPUs()); n != runtime.NumCPU() {
		t.Errorf("%d CPUs, and Go sees %d", n, runtime.NumCPU())
	}
	if c.Threads() < 1 || c.Threads() > runtime.NumCPU() {
		t.Errorf("%d threads", c.Threads())
	}
}

func TestARunningProcessIsBoundWithItsThreads(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "echo up; read x")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	all := Find().CPUs()
	last := all[len(all)-1]
	if err := Bind(cmd.Process.Pid, []int{last}); err != nil {
		t.Fatal(err)
	}
	if got := allowedTo(t, cmd.Process.Pid); got != strconv.Itoa(last) {
		t.Errorf("it may run on %s, want %d", got, last)
	}
	_ = in.Close()
	_ = cmd.Wait()
	if err := Bind(cmd.Process.Pid, all); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("of a process that has ended: %v", err)
	}
}

// allowedTo is the list of CPUs that a process may run on.
func allowedTo(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	return string(regexp.MustCompile(`(?m)^Cpus_allowed_list:\s+(\S+)$`).FindSubmatch(text)[1])
}
