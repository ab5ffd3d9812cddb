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
	stopped bool
	giving  sync.WaitGroup
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
	if i.running == 0 && i.done >= busy && !i.stopped {
		i.timer = time.AfterFunc(or(i.after, quiet), i.giveBack)
	}
}

// begins reports whether it is quiet indeed; giving must be told of the end then.
func (i *idleness) begins() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.running > 0 || i.stopped {
		return false
	}
	i.done = 0
	i.giving.Add(1)
	return true
}

func (i *idleness) giveBack() {
	if !i.begins() {
		return
	}
	defer i.giving.Done()
	if i.settle != nil {
		i.settle()
	}
	if i.release != nil {
		i.release()
		return
	}
	runtime.GC() // what pools hold goes with the second collection only
	debug.FreeOSMemory()
}

// stop ends the waiting for a quiet moment, and waits for what is done in one.
func (i *idleness) stop() {
	i.mu.Lock()
	i.stopped = true
	i.stopLocked()
	i.mu.Unlock()
	i.giving.Wait()
}

func (i *idleness) stopLocked() {
	if i.timer != nil {
		i.timer.Stop()
		i.timer = nil
	}
}
