package hive

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheMemoryOfAControlGroupIsAllThereIs(t *testing.T) {
	const gibi = 1 << 30
	for _, c := range []struct {
		name        string
		files       map[string]string // below sys/fs/cgroup, and cgroup for proc/self/cgroup
		total, free uint64            // of 64 GiB, of which 40 GiB are free
	}{
		{"no control groups", nil, 64 * gibi, 40 * gibi},
		{"no limit", map[string]string{"cgroup": "0::/user.slice\n", "user.slice/memory.max": "max\n", "user.slice/memory.current": "5000\n"}, 64 * gibi, 40 * gibi},
		{
			"a service with a limit",
			map[string]string{
				"cgroup": "0::/system.slice/rbee.service\n", "system.slice/rbee.service/memory.max": "8589934592\n",
				"system.slice/rbee.service/memory.current": "5368709120\n",
				"system.slice/rbee.service/memory.stat":    "anon 1073741824\nfile 4294967296\ninactive_file 3221225472\nactive_file 1073741824\n",
			},
			8 * gibi, 7 * gibi,
		},
		{
			"the slice above it has a smaller one",
			map[string]string{
				"cgroup": "0::/a.slice/b\n", "a.slice/memory.max": "4294967296", "a.slice/memory.current": "1073741824",
				"a.slice/b/memory.max": "8589934592", "a.slice/b/memory.current": "0",
			},
			4 * gibi, 3 * gibi,
		},
		{"one that slows down before", map[string]string{"cgroup": "0::/\n", "memory.max": "max", "memory.high": "2147483648", "memory.current": "0"}, 2 * gibi, 2 * gibi},
		{"a container, by a path of the machine's", map[string]string{"cgroup": "0::/../../docker/1234\n", "memory.max": "2147483648", "memory.current": "3221225472"}, 2 * gibi, 0},
		{"more than the machine has free", map[string]string{"cgroup": "0::/\n", "memory.max": "64424509440", "memory.current": "0"}, 60 * gibi, 40 * gibi},
		{
			"version 1, in a container",
			map[string]string{
				"cgroup": "9:name=systemd:/x\n4:memory:/docker/1234\n0::/\n", "memory/memory.limit_in_bytes": "4294967296",
				"memory/memory.usage_in_bytes": "3221225472", "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 1073741824\ntotal_active_file 0\n",
			},
			4 * gibi, 2 * gibi,
		},
		{"version 1 without a limit", map[string]string{"cgroup": "4:cpu,memory:/\n", "memory/memory.limit_in_bytes": "9223372036854771712"}, 64 * gibi, 40 * gibi},
		{"version 2 beside version 1", map[string]string{"cgroup": "0::/a\n", "unified/a/memory.max": "1073741824", "unified/a/memory.current": "0"}, gibi, gibi},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range c.files {
				path := filepath.Join(root, "sys/fs/cgroup", name)
				if name == "cgroup" {
					path = filepath.Join(root, "proc/self/cgroup")
				}
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if total, free := within(root, 64*gibi, 40*gibi); total != c.total || free != c.free {
				t.Errorf("got %d of %d, want %d of %d", free, total, c.free, c.total)
			}
		})
	}
}
