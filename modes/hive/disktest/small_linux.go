package disktest

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// Small is a folder on an empty disk in memory, mounted with the options of
// tmpfs(5), as "size=4m". It goes with the test. Where mounting is not allowed the
// test is skipped, but in CI it fails.
func Small(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		if os.Getenv("CI") != "" || !errors.Is(err, syscall.EPERM) {
			t.Fatal(err)
		}
		t.Skip("mounting a small disk needs root")
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}
