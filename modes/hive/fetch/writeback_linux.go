package fetch

import (
	"os"
	"syscall"
)

// syncWrite begins to write without waiting for it (SYNC_FILE_RANGE_WRITE of
// sync_file_range(2)).
const syncWrite = 2

// writeBack has the system begin to write a part of a file to the disk, so that
// little is left for the sync at the end. It is a hint: what fails here, fails
// there.
func writeBack(f *os.File, s span) {
	_ = syscall.SyncFileRange(int(f.Fd()), s.From, s.To-s.From, syncWrite)
}
