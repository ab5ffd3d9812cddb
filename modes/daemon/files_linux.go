package daemon

import (
	"math"

	"golang.org/x/sys/unix"
)

// keepFilesHere marks whatever files this process was handed by its parent,
// beyond the standard three, as not to be handed on. Those that Go opens are
// marked already. Kernels before 5.11 cannot mark all at once (close_range(2)).
func keepFilesHere() error {
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return nil
	}
	return keepEachFileHere("/proc/self/fd")
}
