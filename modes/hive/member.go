package hive

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// endWithin is how long a worker may take to end before it is killed.
const endWithin = 5 * time.Second

// member is one worker as the hive sees it. One goroutine, in [fleet.own], has
// the process and its state stream and is the only one to change what is known
// of it; others look, ask for its end, and count the jobs they give it.
type member struct {
	id, folder string
	hive       string
	want       want // zero for a worker of an earlier hive process
	client     *transport.Client
	within     time.Duration // startWithin, or less in tests

	begun   chan struct{} // closed when the process is there, or could not be started
	settled chan struct{} // closed when the model is loaded, or the worker has ended
	ended   chan struct{} // closed when the process is gone

	mu      sync.Mutex
	process daemon.Process
	child   *daemon.Child // nil for a worker of an earlier hive process
	info    ops.Worker
	given   int           // jobs of this hive's that it has
	used    time.Time     // when it last had something to do
	news    chan struct{} // closed and made anew at each word of the worker's
	was     bool          // its model was loaded
	asked   bool          // its end was asked for
	failed  bool          // it ended, and nobody had asked for that
	parting bool          // it gets no more jobs: its end will be asked for
	why     *ops.Error    // why it ended; set before ended is closed
}

func newMember(id, folder, hive string, w want) *member {
	options := transport.Unix(filepath.Join(folder, home.WorkerSocket))
	options.Name, options.Patience = "worker "+id, patience
	options.Answer, options.HungHint = hearWithin, ops.HungHint(id, hive)
	return &member{
		id: id, folder: folder, hive: hive, want: w, client: transport.New(options), within: startWithin,
		begun: make(chan struct{}), settled: make(chan struct{}), ended: make(chan struct{}), news: make(chan struct{}),
		info: ops.Worker{
			ID: id, HiveID: hive, Model: w.model.ID, Engine: w.engine, Device: w.device, Program: w.program, State: ops.WorkerLoading,
			PromptCache: max(0, w.prompts), Flags: w.flags, Command: string(ops.Redact([]byte(w.command))), Parts: w.parts, PartOf: w.partOf, PartBytes: w.partBytes, StartedAt: time.Now().UTC(), LogPath: filepath.Join(folder, home.WorkerLog),
		},
	}
}

// start starts the process.
func (m *member) start(binary string) error {
	if err := os.MkdirAll(m.folder, 0o700); err != nil {
		return ops.Errorf(ops.CodeUnavailable, "make the folder of worker %s: %w", m.id, err)
	}
	child, err := daemon.Spawn(daemon.Command{Binary: binary, Log: filepath.Join(m.folder, home.WorkerLog), Args: m.arguments()})
	if err != nil {
		return ops.Errorf(ops.CodeUnavailable, "worker %s: %w", m.id, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.child, m.process, m.info.PID = child, child.Process, child.PID
	return nil
}

// arguments are those of the process.
func (m *member) arguments() []string {
	args := []string{
		"worker", "serve", "--id", m.id, "--hive", m.hive, "--folder", m.folder,
		"--model", m.want.model.ID, "--path", m.want.model.Path,
		"--engine", m.want.engine, "--device", m.want.device,
		"--parallel", strconv.Itoa(m.want.parallel), "--context-length", strconv.Itoa(m.want.context),
	}
	if m.want.threads > 0 {
		args = append(args, "--threads="+strconv.Itoa(m.want.threads))
	}
	for _, f := range m.want.flags {
		args = append(args, "--flag="+f)
	}
	if m.want.prompts != 0 {
		args = append(args, "--prompt-cache="+strconv.FormatInt(m.want.prompts, 10))
	}
	if m.want.program != "" {
		args = append(args, "--program="+m.want.program)
	}
	if m.want.called != "" {
		args = append(args, "--called="+m.want.called)
	}
	if m.want.command != "" {
		args = append(args, "--command="+m.want.command)
	}
	for _, hive := range m.want.parts {
		args = append(args, "--part="+hive)
	}
	if m.want.share > 0 {
		args = append(args, "--share="+strconv.FormatFloat(m.want.share, 'g', -1, 64))
	}
	if m.want.partOf != "" {
		args = append(args, "--part-of="+m.want.partOf, "--part-bytes="+strconv.FormatUint(m.want.partBytes, 10))
	}
	return args
}

// watch follows the worker's state until its process is gone or ctx ends, and
// calls changed at each change, or turned where that cannot wait.
func (m *member) watch(ctx context.Context, changed, turned func()) {
	if m.child != nil && !m.listens(ctx, turned) {
		return
	}
	pause := 2 * time.Millisecond
	for ctx.Err() == nil {
		for text, err := range m.client.State(ctx) {
			var s ops.Worker
			if errors.Is(err, transport.ErrHung) {
				m.silent(transport.ErrHung.Error())
				turned()
			}
			if err != nil || json.Unmarshal(text, &s) != nil {
				break
			}
			if m.heard(s) {
				turned()
			} else {
				changed()
			}
			pause = 2 * time.Millisecond
		}
		if ctx.Err() == nil && !m.process.Alive() {
			return
		}
		select { // the connection broke
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, 250*time.Millisecond)
	}
}

// heard takes over what the worker says of itself, and reports whether it has
// begun or ceased to load.
func (m *member) heard(s ops.Worker) (turned bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.Running > 0 || m.info.Running > 0 || m.used.IsZero() {
		m.used = time.Now()
	}
	s.ID, s.HiveID, s.PID, s.LogPath = m.id, m.hive, m.process.PID, m.info.LogPath
	turned = (m.info.State == ops.WorkerLoading) != (s.State == ops.WorkerLoading)
	m.info = s
	m.tellOthers()
	if s.State == ops.WorkerReady || s.State == ops.WorkerBusy {
		m.was = true
		m.settle()
	}
	return turned
}

// tellOthers wakes those who wait for news. The caller holds the lock.
func (m *member) tellOthers() {
	close(m.news)
	m.news = make(chan struct{})
}

// settle closes settled. The caller holds the lock.
func (m *member) settle() {
	select {
	case <-m.settled:
	default:
		close(m.settled)
	}
}

// finish notes that there is no process any more, and reports whether somebody
// asked for that. failure says why there never was one.
func (m *member) finish(failure error) (asked bool) {
	var status error
	if m.child != nil {
		<-m.child.Done()
		status = m.child.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.asked:
		m.why = ops.Errorf(ops.CodeUnavailable, "worker %s was stopped", m.id)
	case failure != nil:
		m.why = ops.AsError(failure)
	default:
		m.why = obituary(m.info, status)
	}
	m.info.State, m.info.Error, m.info.Running, m.info.PID = ops.WorkerFailed, m.why.Message, 0, 0
	m.failed = !m.asked
	close(m.ended) // first: who waits for settled asks then whether it has ended
	m.settle()
	return m.asked
}

// tell is what is known of the worker now.
func (m *member) tell() ops.Worker {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.info
}

// hasFailed reports whether it has ended and nobody had asked for that.
func (m *member) hasFailed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// killed reports whether somebody killed the process before its model was loaded: of
// that the model is not to blame.
func (m *member) killed() bool {
	return m.dead() && m.hasFailed() && !m.loaded() && m.child != nil && m.child.Killed()
}

// dead reports whether the process is gone.
func (m *member) dead() bool {
	select {
	case <-m.ended:
		return true
	default:
		return false
	}
}

// loaded reports whether the worker has ever been ready.
func (m *member) loaded() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.was
}

// wait returns when the model is loaded, or with the reason why it is not. It
// narrates what loading waits for.
func (m *member) wait(ctx context.Context) error {
	for said := ""; ; {
		waiting, news := m.waiting()
		if err := m.hung(); err != nil {
			return err
		}
		if waiting != "" && waiting != said {
			said = waiting
			ops.Narrate(ctx, "worker_wait", "%s", waiting)
		}
		select {
		case <-m.settled:
			if m.dead() {
				return m.why
			}
			return nil
		case <-news:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// waiting is what loading waits for, and what is closed when there may be more to
// tell.
func (m *member) waiting() (what string, news <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.info.Waiting, m.news
}

// end ends the process, by force if it must be, and waits until that was
// noticed.
func (m *member) end(ctx context.Context) error {
	m.mu.Lock()
	m.asked = true
	m.mu.Unlock()
	<-m.begun
	within := endWithin
	if m.hung() != nil {
		within = time.Second // it will not hear the signal either
	}
	if err := daemon.Kill(ctx, m.process, within); err != nil {
		return ops.Errorf(ops.CodeInternal, "stop worker %s: %w", m.id, err)
	}
	select {
	case <-m.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// give counts a job that the worker gets; take counts one that it had.
func (m *member) give() { m.count(1) }
func (m *member) take() { m.count(-1) }

func (m *member) count(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.given += n
	m.used = time.Now()
}

// lastUsed is when the worker last had something to do.
func (m *member) lastUsed() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}
