package hive

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// member is one worker of the hive's, as the hive sees it. Its watch is the
// only one that changes what is known of it.
type member struct {
	id, folder string
	process    daemon.Process
	child      *daemon.Child // nil for a worker of an earlier hive process
	client     *transport.Client

	loaded chan struct{} // closed when the model is loaded
	ended  chan struct{} // closed when the process is gone

	mu    sync.Mutex
	state ops.Worker
	cause *ops.Error // why it ended; set before ended is closed
	asked bool       // its end was asked for
}

func newMember(id, folder string, first ops.Worker) *member {
	options := transport.Unix(filepath.Join(folder, home.WorkerSocket))
	options.Name, options.Patience = "the worker "+id, 10*time.Second
	return &member{
		id: id, folder: folder, state: first, client: transport.New(options),
		loaded: make(chan struct{}), ended: make(chan struct{}),
	}
}

// watch follows the worker's state until its process is gone or ctx ends, and
// calls changed at each change.
func (m *member) watch(ctx context.Context, changed func()) {
	defer m.client.Close()
	for ctx.Err() == nil {
		for text, err := range m.client.State(ctx) {
			if err != nil {
				break
			}
			var s ops.Worker
			if json.Unmarshal(text, &s) == nil {
				m.heard(s)
				changed()
			}
		}
		if ctx.Err() == nil && !m.process.Alive() {
			m.gone()
			changed()
			return
		}
		select { // it is not listening yet, or the connection broke
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// heard takes over what the worker says of itself.
func (m *member) heard(s ops.Worker) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = s
	if s.State == ops.WorkerReady || s.State == ops.WorkerBusy {
		select {
		case <-m.loaded:
		default:
			close(m.loaded)
		}
	}
}

// gone notes that the process has ended.
func (m *member) gone() {
	why := "its process is gone"
	if m.child != nil {
		<-m.child.Done()
		if err := m.child.Err(); err != nil {
			why = err.Error()
		} else {
			why = "it ended by itself"
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	log := filepath.Join(m.folder, home.WorkerLog)
	switch {
	case m.asked:
		m.cause = ops.Errorf(ops.CodeUnavailable, "the worker %s was stopped", m.id)
	case m.state.Error != "": // it said why
		m.cause = ops.Errorf(ops.CodeUnavailable, "the worker %s failed: %s", m.id, m.state.Error)
	default:
		m.cause = ops.Errorf(ops.CodeUnavailable, "the worker %s ended: %s%s", m.id, why, lastWords(log)).WithHint("its log is %s", log)
	}
	m.state.State, m.state.Error, m.state.Running, m.state.PID = ops.WorkerFailed, m.cause.Message, 0, 0
	close(m.ended)
}

// lastWords is the message of the newest line of a worker's log, unless it is
// only a routine one.
func lastWords(path string) string {
	line := daemon.Tail(path, 1)
	var entry struct{ Level, Message, Error string }
	if json.Unmarshal([]byte(line), &entry) == nil {
		if entry.Level == "info" {
			return ""
		}
		return fmt.Sprintf("; it last said: %s %s", entry.Message, entry.Error)
	}
	if line = strings.TrimSpace(line); line == "" {
		return ""
	}
	return "; it last said: " + line
}

// info is what is known of the worker now.
func (m *member) info() ops.Worker {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

// alive reports whether the process has not ended.
func (m *member) alive() bool {
	select {
	case <-m.ended:
		return false
	default:
		return true
	}
}

// wait returns when the model is loaded, or with the reason why it will not be.
func (m *member) wait(ctx context.Context) error {
	select {
	case <-m.loaded:
		return nil
	case <-m.ended:
		return m.cause
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end ends the process, by force if it must be.
func (m *member) end(ctx context.Context) error {
	m.mu.Lock()
	m.asked = true
	m.mu.Unlock()
	return daemon.Kill(ctx, m.process, 5*time.Second)
}
