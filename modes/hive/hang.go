package hive

import (
	"fmt"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// hearWithin is how long a worker may say nothing, and then nothing to whether it is
// there, before it counts as hung.
const hearWithin = 5 * time.Second

// patience is how long a worker has that was found to hang to go on with an answer
// that it has begun.
const patience = 15 * time.Second

// silent notes that the worker hangs, until it is heard again. Nothing comes of what
// it runs.
func (m *member) silent() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.info.State, m.info.Error, m.info.Running = ops.WorkerHung, fmt.Sprintf("worker %s, process %d, %v", m.id, m.process.PID, transport.ErrHung), 0
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
