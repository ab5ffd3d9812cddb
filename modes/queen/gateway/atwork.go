package gateway

import (
	"sync"
	"time"

	"rbee.dev/rbee/ops"
)

// quietAfter is after how long without a word of the worker's a client that waits
// for a stream is told that the worker is at work, and again after as long. To read
// a long prompt takes minutes on some machines; whatever lies between gives a
// connection up on which nothing comes for one.
const quietAfter = 15 * time.Second

// work is a worker's, of which nothing has come yet.
type work struct {
	p     *reply
	by    *ops.Worker
	every time.Duration
	timer *time.Timer

	mu    sync.Mutex
	heard bool // nothing is told any more
}

// atWork tells the client from time to time that the worker is at work, until the
// work's end is called; meanwhile nobody else may use p.
func (p *reply) atWork(by *ops.Worker, every time.Duration) *work {
	w := &work{p: p, by: by, every: every}
	if p.stream {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.timer = time.AfterFunc(every, w.tell)
	}
	return w
}

func (w *work) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.heard {
		return
	}
	w.p.from(w.by)
	w.p.say("worker " + w.by.ID + " of " + w.by.HiveID + " is at work, and has said nothing yet")
	w.timer.Reset(w.every)
}

// end ends the telling: p is the caller's again.
func (w *work) end() {
	if w.timer == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = true
	w.timer.Stop()
}
