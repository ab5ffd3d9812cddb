package fetch

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/dustin/go-humanize"

	"rbee.dev/rbee/ops"
)

// CheckRoom says whether size bytes more fit on the disk of folder; what does
// not fit is a conflict that tells the numbers.
func CheckRoom(folder string, size int64) error {
	free, ok := diskFree(folder)
	if !ok || size <= 0 || uint64(size) <= free {
		return nil
	}
	return ops.Errorf(ops.CodeConflict, "%w", &tooLittle{uint64(size), free}).WithHint("make room on the disk of %s", folder)
}

// tooLittle is how much is wanted of a disk, and how much it has, in bytes.
type tooLittle struct{ wanted, free uint64 }

func (t *tooLittle) Error() string {
	return fmt.Sprintf("it takes %s, and the disk has %s free", humanize.IBytes(t.wanted), humanize.IBytes(t.free))
}

// NoRoom says of an error that came of a disk, or a share of it, that is full what
// has no room there and on the disk of which folder. Any other it leaves as it is.
func NoRoom(err error, what, folder string) error {
	var why error
	code := ops.CodeConflict
	if t, ok := errors.AsType[*tooLittle](err); ok {
		why = t
	} else if number, ok := errors.AsType[syscall.Errno](err); ok && full(err) {
		why, code = number, ops.CodeUnavailable
	} else {
		return err
	}
	return ops.Errorf(code, "there is no room for %s on the disk of %s: %w", what, folder, why).
		WithHint("make room on the disk of %s, and give the same command again", folder)
}

// diskFree is how many bytes this account can still write to the disk of dir.
func diskFree(dir string) (uint64, bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true //nolint:gosec,unconvert // the types differ between systems
}

// full says whether err came of a disk, or a share of it, that is full.
func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// noRoom says whether err came of a disk that is full, or would be.
func noRoom(err error) bool {
	_, little := errors.AsType[*tooLittle](err)
	return little || full(err)
}

// leaveFree is how many bytes a download leaves free that has filled a disk.
const leaveFree = 8 << 20

// wanting is how many of them are missing after err.
func wanting(err error) int64 {
	if t, ok := errors.AsType[*tooLittle](err); ok {
		return leaveFree - int64(min(t.free, leaveFree)) //nolint:gosec // not more than that
	}
	if full(err) {
		return leaveFree
	}
	return 0
}

// writeError is err, which came of writing a file, for a person.
func writeError(err error) error { return ops.Errorf(ops.CodeUnavailable, "write the file: %w", err) }
