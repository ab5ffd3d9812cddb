package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"rbee.dev/rbee/ops"
)

// ErrReaderGone is the error of a command whose standard output was closed, as
// by `| head -1`. There is nobody to tell.
var ErrReaderGone = ops.Errorf(ops.CodeCancelled, "the reader of standard output is gone")

// brokenPipe makes ErrReaderGone of the error of writing to nobody.
func brokenPipe(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("%w: %w", ErrReaderGone, err)
	}
	return err
}

// whileRead is ctx until the reader of out is gone, if out is a pipe or a socket;
// then its cause is [ErrReaderGone]. So what has nothing to write yet hears of it too.
// stop ends the watch and waits for that.
func whileRead(ctx context.Context, out io.Writer) (_ context.Context, stop func()) {
	file, ok := out.(*os.File)
	if !ok {
		return ctx, func() {}
	}
	if info, err := file.Stat(); err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return ctx, func() {}
	}
	woken, wake, err := os.Pipe()
	if err != nil {
		return ctx, func() {} // writing tells of it in the end
	}
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if closedBefore(file, woken) {
			cancel(ErrReaderGone)
		}
	}()
	return ctx, func() {
		_ = wake.Close()
		<-done
		_ = woken.Close()
		cancel(nil)
	}
}

// closedBefore waits until nobody reads out any more, or until woken's other end is
// closed, and reports whether it was the first. That out has room, or is full, does
// not wake it: poll(2) tells of errors and hang-ups alone where nothing is asked for.
func closedBefore(out, woken *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(out.Fd())}, {Fd: int32(woken.Fd())}} //nolint:gosec // a descriptor is small
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || fds[1].Revents != 0:
			return false
		default:
			return fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
		}
	}
}
