package job

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// quiet is how long no job must have run before memory is given back, and busy
// after how many jobs that is worth its few milliseconds.
const (
	quiet = 3 * time.Second
	busy  = 100
)

// idleness gives memory back to the system once a daemon that had many jobs at
// once has none: the runtime by itself keeps what its busiest moment took for
// minutes. The zero value is ready.
type idleness struct {
	mu      sync.Mutex
	running int
	done    int // jobs that ended since memory was given back
	timer   *time.Timer
	settle  func() // is called before, to make free what can be; nil is nothing
	release func() // nil is debug.FreeOSMemory
	after   time.Duration
}

// began counts a job in.
func (i *idleness) began() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.running++
	i.stopLocked()
}

// ended counts a job out.
func (i *idleness) ended() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.running--
	i.done++
	if i.running == 0 && i.done >= busy {
		i.timer = time.AfterFunc(or(i.after, quiet), i.giveBack)
	}
}

func (i *idleness) giveBack() {
	i.mu.Lock()
	idle := i.running == 0
	if idle {
		i.done = 0
	}
	i.mu.Unlock()
	if idle && i.settle != nil {
		i.settle()
	}
	switch {
	case !idle:
	case i.release != nil:
		i.release()
	default:
		runtime.GC() // what pools hold goes with the second collection only
		debug.FreeOSMemory()
	}
}

// stop ends the waiting for a quiet moment.
func (i *idleness) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stopLocked()
}

func (i *idleness) stopLocked() {
	if i.timer != nil {
		i.timer.Stop()
		i.timer = nil
	}
}
