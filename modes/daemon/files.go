package daemon

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// keepEachFileHere is keepFilesHere by way of the folder that lists the process's
// open files.
func keepEachFileHere(folder string) error {
	open, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("list the open files: %w", err)
	}
	for _, f := range open {
		if fd, err := strconv.Atoi(f.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}
