package hive

import (
	"context"
	"fmt"
	"os"
	"time"

	"rbee.dev/rbee/ops"
)

// hearWithin is how long a worker may say nothing, and then nothing to whether it is
// there, before it counts as hung.
const hearWithin = 5 * time.Second

// patience is how long a worker has that was found to hang to go on with an answer
// that it has begun.
const patience = 15 * time.Second

// startWithin is how long a worker that does not listen yet may give no sign of life
// before it counts as hung. It has little to do until then: the model is read later.
const startWithin = 30 * time.Second

// listens waits until the worker listens, or has ended; ctx's end is false. One that
// gives no sign of life meanwhile hangs, as far as one can tell, until it listens.
func (m *member) listens(ctx context.Context, turned func()) bool {
	look := time.NewTicker(m.within / 10)
	defer look.Stop()
	p := pulse{since: time.Now()}
	for {
		select {
		case <-m.child.Listens():
			return true
		case <-ctx.Done():
			return false
		case now := <-look.C:
			if p.still(m.sign(), now) >= m.within && m.hung() == nil {
				m.silent(fmt.Sprintf("has given no sign of life for %s and does not listen yet", ops.Shortly(m.within)))
				turned()
			}
		}
	}
}

// sign is by what a worker that does not listen yet is seen to live: what it has used of
// the machine, and how long its log is.
func (m *member) sign() string {
	size := int64(0)
	if log, err := os.Stat(m.tell().LogPath); err == nil {
		size = log.Size()
	}
	return fmt.Sprint(m.process.Used(), " ", size)
}

// pulse is a sign of life that changes while there is life.
type pulse struct {
	sign  string
	since time.Time // it has been this one
}

// still is for how long the sign has not changed.
func (p *pulse) still(sign string, now time.Time) time.Duration {
	if sign != p.sign {
		p.sign, p.since = sign, now
	}
	return now.Sub(p.since)
}

// silent notes that the worker hangs, and how one sees that, until it is heard again.
// Nothing comes of what it runs.
func (m *member) silent(how string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.info.State, m.info.Error, m.info.Running = ops.WorkerHung, fmt.Sprintf("worker %s, process %d, %s", m.id, m.process.PID, how), 0
	m.tellOthers()
}

// hung is the error of a worker that hangs, or nil.
func (m *member) hung() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.info.State != ops.WorkerHung {
		return nil
	}
	return ops.Errorf(ops.CodeUnavailable, "%s", m.info.Error).WithHint("%s", ops.HungHint(m.id, m.hive))
}
