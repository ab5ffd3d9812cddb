package fetch

import (
	"errors"
	"path/filepath"
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
	return ops.Errorf(ops.CodeConflict, "it takes %s, and the disk has %s free", humanize.IBytes(uint64(size)), humanize.IBytes(free)).
		WithHint("make room on the disk of %s", folder)
}

// diskFree is how many bytes this account can still write to the disk of dir.
func diskFree(dir string) (uint64, bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true //nolint:gosec,unconvert // the types differ between systems
}

// Full says whether err came of a disk, or a share of it, that is full.
func Full(err error) bool { return full(err) }

// full says whether err came of a disk, or a share of it, that is full.
func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// writeError is err, which came of writing the file at path, for a person.
func writeError(err error, path string) error {
	e := ops.Errorf(ops.CodeUnavailable, "write the model: %w", err)
	if full(err) {
		return e.WithHint("nothing is kept of it; make room on the disk of %s and try again", filepath.Dir(path))
	}
	return e
}
