package hive

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestADiskThatFillsUpLeavesNoHalfModel(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		if os.Getenv("CI") != "" || !errors.Is(err, syscall.EPERM) {
			t.Fatal(err)
		}
		t.Skip("mounting a small disk needs root")
	}
	m, err := openModels(dir, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(m.Close(), syscall.Unmount(dir, 0)); err != nil {
			t.Error(err)
		}
	})
	s := server(t)
	// Of this one nobody knows the size before.
	_, err = m.download(t.Context(), s.URL+"/chunked.gguf", "bee")
	e, ok := errors.AsType[*ops.Error](err)
	if !ok || e.Code != ops.CodeUnavailable || !errors.Is(err, syscall.ENOSPC) || e.Hint == "" {
		t.Errorf("download() = %v", err)
	}
	if _, err := m.download(t.Context(), s.URL+"/tiny.gguf", "bee"); ops.CodeOf(err) != ops.CodeConflict {
		t.Errorf("one whose size is known: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left on the disk: %v, %v", left, err)
	}
}
