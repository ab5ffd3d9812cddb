package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// TestADaemonThatCannotStartSaysWhatHelps: and is as absent to who wanted it as one that
// cannot be reached.
func TestADaemonThatCannotStartSaysWhatHelps(t *testing.T) {
	full := fmt.Errorf("write pid file: %w", &fs.PathError{Op: "write", Path: "/state/hive.pid", Err: syscall.ENOSPC})
	for name, tt := range map[string]struct {
		err    error
		absent bool
		hint   string
	}{
		"a full disk":           {full, true, home.Elsewhere},
		"one that says more":    {ops.Errorf(ops.CodeUnavailable, "a folder is there: %w", full).WithHint("remove it"), true, "remove it"},
		"no file":               {errors.New("something else"), true, ""},
		"what is given wrong":   {ops.Invalid("listen", "must be HOST:PORT"), false, ""},
		"another one that runs": {ops.Errorf(ops.CodeConflict, "it runs").WithHint("end it"), false, "end it"},
	} {
		err := NotUp(tt.err)
		if errors.Is(err, transport.ErrUnreachable) != tt.absent || !errors.Is(err, tt.err) && !errors.Is(err, full) ||
			ops.AsError(err).Hint != tt.hint || ops.AsError(err).Message != ops.AsError(tt.err).Message {
			t.Errorf("%s: %v (%+v)", name, err, ops.AsError(err))
		}
	}
	if err := NotUp(nil); err != nil {
		t.Errorf("of none it makes %v", err)
	}
}
