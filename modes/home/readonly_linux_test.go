package home_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
)

// TestAHomeThatHasBecomeReadOnlyIsToldWithWhatHelps: its folders are all there.
func TestAHomeThatHasBecomeReadOnlyIsToldWithWhatHelps(t *testing.T) {
	root := t.TempDir()
	if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "size=1m"); err != nil {
		if os.Getenv("CI") != "" || !errors.Is(err, syscall.EPERM) {
			t.Fatal(err)
		}
		t.Skip("mounting a small disk needs root")
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(root, 0); err != nil {
			t.Error(err)
		}
	})
	h, err := home.Find(func(name string) string { return map[string]string{"RBEE_HOME": root}[name] })
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Create(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", root, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if e := ops.AsError(h.Create()); e == nil || e.Code != ops.CodeUnavailable || !strings.Contains(e.Hint, "RBEE_HOME names another place") {
		t.Errorf("got %+v", e)
	}
}
