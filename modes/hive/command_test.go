package hive

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
)

func TestAHiveWhoseFilesCannotBeWrittenSaysWhatHelps(t *testing.T) {
	full := fmt.Errorf("write pid file: %w", &fs.PathError{Op: "write", Path: "hive.pid", Err: syscall.ENOSPC})
	if err := notUp(full); ops.AsError(err).Hint != home.Elsewhere || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk: %+v", ops.AsError(err))
	}
	other := ops.Errorf(ops.CodeConflict, "a hive is already running")
	if err := notUp(other); !errors.Is(err, other) || ops.AsError(err).Hint != "" {
		t.Errorf("another one: %+v", ops.AsError(err))
	}
	if err := notUp(nil); err != nil {
		t.Errorf("none: %v", err)
	}
}
