package job_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rbee.dev/rbee/ops"
)

// sealed is a file with that content which takes no more: a disk that is full.
func sealed(t *testing.T, content []byte) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("log", unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "log")
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_GROW); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestAFullDiskIsToldByTheWorkThatMeetsIt: what is said beside it finds no room in the
// job's log either, and is left out.
func TestAFullDiskIsToldByTheWorkThatMeetsIt(t *testing.T) {
	begun, full := make(chan struct{}), make(chan struct{})
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		tokens(ctx, 1)
		close(begun)
		<-full
		ops.Progress(ctx, "download", 1, 2, "bytes")
		ops.Narrate(ctx, "kept", "1 byte is kept")
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, ops.Errorf(ops.CodeUnavailable, "the disk of the models is full").WithHint("make room there")
	})
	id := d.submit(infer)
	<-begun
	file := d.ReplaceLogFile(id, nil)
	defer file.Close()
	content, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	d.ReplaceLogFile(id, sealed(t, content))
	close(full)
	got := d.all(id)
	if len(got) != 3 || got[1].kind != "error" || !strings.Contains(got[1].data, "the disk of the models is full") || !strings.Contains(got[1].data, "make room there") {
		t.Errorf("the events are %v", got)
	}
}
