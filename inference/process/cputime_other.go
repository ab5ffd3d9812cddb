//go:build !linux

package process

import "time"

// groupTime is not known here.
func groupTime(int) (time.Duration, bool) { return 0, false }
