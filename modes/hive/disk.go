package hive

import "syscall"

// diskFree is how many bytes this account can still write to the disk of dir.
func diskFree(dir string) (uint64, bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true //nolint:gosec,unconvert // the types differ between systems
}
