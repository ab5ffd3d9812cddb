package daemon

import (
	"errors"
	"io/fs"

	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// NotUp is the error of a daemon that cannot start, as a command that wanted one would
// have it: but for what is given wrong, or another one that runs, there is none. Where it
// is a file that cannot be written, it tells what helps.
func NotUp(err error) error {
	e := ops.AsError(err)
	if e == nil || e.Code == ops.CodeInvalid || e.Code == ops.CodeConflict {
		return err
	}
	if _, file := errors.AsType[*fs.PathError](err); file && e.Hint == "" {
		err = e.WithHint(home.Elsewhere)
	}
	return transport.Absent(err)
}
