package daemon

import (
	"os"
	"runtime/debug"
)

// gcPercent is how much a daemon's heap grows by before its garbage is collected,
// in percent of what is in use. Queen and hive pass things on: little is in use,
// and at the runtime's 100 they would collect for every few hundred requests,
// which doubles what one takes of the processor. It costs some 5 MB.
const gcPercent = 300

// CollectSeldom has the process collect its garbage less often, unless GOGC says
// how often.
func CollectSeldom() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
