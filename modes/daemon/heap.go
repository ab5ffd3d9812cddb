package daemon

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// garbageMin is how many bytes of garbage a daemon may gather before it is
// collected, however little is in use. Queen and hive pass things on, so little
// is, and by the runtime's own rule they would collect for every few hundred
// requests, which doubles what one takes of the processor.
const garbageMin = 12 << 20

// CollectSeldom has the process collect its garbage less often while little is in
// use, unless GOGC says how often.
func CollectSeldom() {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent := percentFor(inUse())
	debug.SetGCPercent(percent)
	afterEachCollection(percent)
}

// afterEachCollection sees that the next one is due when it should be. It is
// called by the end of an object that nobody holds, which comes with every
// collection.
func afterEachCollection(before int) {
	runtime.AddCleanup(&struct{ _ *byte }{}, func(before int) {
		now := percentFor(inUse())
		if now < before*9/10 || now > before*11/10 { // setting it stops the process for a moment
			debug.SetGCPercent(now)
			before = now
		}
		afterEachCollection(before)
	}, before)
}

// heapMinimum is up to how much a heap grows before it is collected at 100 percent,
// however little is in use, and its multiple at more (GOHEAPMIN in runtime/mgcpacer.go).
const heapMinimum = 4 << 20

// percentFor is by how much a heap may grow of which so many bytes are in use, in
// percent of them: the runtime's 100, or garbageMin where that is more.
func percentFor(inUse uint64) int {
	percent := 100 * garbageMin / max(inUse, 1)
	percent = min(percent, 100*(inUse+garbageMin)/heapMinimum)
	return int(max(100, percent)) //nolint:gosec // it is below 401
}

// inUse is how many bytes the last collection has found to be in use.
func inUse() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
