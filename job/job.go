package job

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/ops"
)

// header is the first line of a job's log file.
type header struct {
	ID        string          `json:"job_id"`
	Operation string          `json:"operation"`
	Op        json.RawMessage `json:"op"`
	By        string          `json:"by,omitempty"`
	CreatedAt time.Time       `json:"created_at"`
}

// job is one job. It is the ops.Sink of the work that it runs.
type job struct {
	id        string
	operation string // its name
	by        string // the caller's id, or ""
	digest    [sha256.Size]byte
	created   time.Time
	log       *eventLog
	logger    zerolog.Logger
	cancel    context.CancelCauseFunc // does nothing once the work has ended

	mu       sync.Mutex
	op       json.RawMessage // nil of a finished job when it is large; see wholeOp
	state    ops.JobState
	started  *time.Time
	finished *time.Time
	err      *ops.Error
	progress coalescer
}

var _ ops.Sink = (*job)(nil)

// newJob returns a job that has not begun.
func newJob(head header, log *eventLog, logger zerolog.Logger) *job {
	return &job{
		id: head.ID, operation: head.Operation, by: head.By, digest: sha256.Sum256(head.Op), created: head.CreatedAt,
		log: log, logger: logger.With().Str("job", head.ID).Str("operation", head.Operation).Logger(),
		cancel: func(error) {}, op: head.Op, state: ops.JobQueued,
	}
}

// JobID is the job's id.
func (j *job) JobID() string { return j.id }

// Cursor is where forwarding has got to.
func (j *job) Cursor() ops.Cursor {
	cursor, _ := j.log.position()
	return cursor
}

// Emit appends an event. Progress comes in floods, so only the newest of an
// action counts (see [coalescer]). Result, error and end are the job's own to
// say, from what its work returns.
func (j *job) Emit(e ops.Event) { j.emit(e, nil) }

// Mark appends an event of another daemon's job together with where it stood
// there; without an event it only notes where.
func (j *job) Mark(e ops.Event, at ops.Cursor) {
	if e == nil {
		j.check(j.log.note(at))
		return
	}
	j.emit(e, &at)
}

func (j *job) emit(e ops.Event, at *ops.Cursor) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch e := e.(type) {
	case ops.ResultEvent, ops.ErrorEvent, ops.EndEvent:
		j.logger.Warn().Str("kind", e.Kind()).Msg("work said what only the job says; dropped")
		return
	case ops.ProgressEvent:
		if j.finished == nil && j.progress.hold(e, at, j.flush) {
			return
		}
	case ops.NarrationEvent:
		j.logger.Debug().Str("actor", e.Actor).Str("action", e.Action).Msg(e.Human)
		j.progress.release(j.append)
	case ops.TokenEvent:
		j.progress.release(j.append)
	}
	j.append(e, at)
}

// flush writes the progress that was held back, from a timer.
func (j *job) flush() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.progress.release(j.append)
}

func (j *job) append(e ops.Event, at *ops.Cursor) {
	data, err := ops.EncodeEvent(e)
	if err == nil {
		err = j.log.append(e.Kind(), data, at)
	}
	j.check(err)
}

// check ends the job when its log cannot be written: what cannot be kept must
// not go on as if it were.
func (j *job) check(err error) {
	switch {
	case err == nil:
	case errors.Is(err, errOver):
		j.logger.Debug().Msg("an event came after the job's end; dropped")
	default:
		j.cancel(unwritable(err))
	}
}

// unwritable is the failure of a job whose log could not be written.
func unwritable(err error) *ops.Error {
	return ops.Errorf(ops.CodeInternal, "cannot write the job's log: %w", err).
		WithHint("make room on the disk of the state folder, then try again")
}

// settle gives the job's log its name.
func (j *job) settle() {
	if err := j.log.settle(); err != nil {
		j.logger.Warn().Err(err).Msg("the job's log keeps another name until the next start")
	}
}

// begin marks the job as running.
func (j *job) begin() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.finished != nil {
		return
	}
	j.state = ops.JobRunning
	if j.started == nil {
		now := time.Now().UTC()
		j.started = &now
	}
}

// turn marks the job as queued, while its work waits, or as running. One that was
// forwarded already and waits for another attempt has begun all the same.
func (j *job) turn(waits bool) {
	if !waits {
		j.begin()
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.finished != nil {
		return
	}
	j.state = ops.JobQueued
	if at, _ := j.log.position(); at.Target == "" {
		j.started = nil
	}
}

// finish writes the last events: result or error, then the end. It reports
// false, and does nothing, for a job that has ended or was left already.
func (j *job) finish(state ops.JobState, result json.RawMessage, failure *ops.Error) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.progress.release(j.append)
	if broken := j.log.failure(); broken != nil { // events are missing, so it is no success
		state, failure = ops.JobFailed, unwritable(broken)
	}
	now := time.Now().UTC()
	end := ending{State: state, StartedAt: j.started, FinishedAt: &now, Error: failure}
	var outcome ops.Event = ops.ResultEvent{Raw: result}
	text := ops.EndEvent{State: state}
	if failure != nil {
		outcome, text.Message = ops.ErrorEvent{Error: *failure}, failure.Error()
	}
	data, err := ops.EncodeEvent(outcome)
	if err == nil {
		err = j.log.end(outcome.Kind(), data, text.String(), end)
	}
	if errors.Is(err, errOver) {
		return false
	}
	j.conclude(end)
	j.logger.Info().Str("state", string(state)).AnErr("failure", errorOrNil(failure)).Msg("job ended")
	if err != nil {
		j.logger.Error().Err(err).Msg("the job's end is not in its log")
	}
	return true
}

// conclude takes over how the job ended. The caller holds the lock or is alone.
func (j *job) conclude(end ending) {
	j.state, j.started, j.finished, j.err = end.State, end.StartedAt, end.FinishedAt, end.Error
	if len(j.op) > opKept {
		j.op = nil
	}
}

// opKept is up to how many bytes the operation of a finished job stays in
// memory. Larger ones are in the log only.
const opKept = 4 << 10

func errorOrNil(e *ops.Error) error {
	if e == nil {
		return nil
	}
	return e
}

// detach lets the job go for the daemon's successor to take up.
func (j *job) detach() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.progress.release(j.append)
	if err := j.log.leave(); err != nil {
		j.logger.Error().Err(err).Msg("the job's log cannot be closed")
	}
}

// endedAt is when the job ended, or nil.
func (j *job) endedAt() *time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.finished
}

// Info is what the job tells of itself, without passwords. A large operation is left out once the
// job has finished.
func (j *job) Info() ops.Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, last := j.log.position()
	return ops.Job{
		ID: j.id, Operation: j.operation, By: j.by, Op: ops.Redact(j.op), State: j.state, Events: last,
		CreatedAt: j.created, StartedAt: j.started, FinishedAt: j.finished, Error: j.err,
	}
}

// whole is Info with the operation, if need be from the log.
func (j *job) whole() (ops.Job, error) {
	info := j.Info()
	if info.Op != nil {
		return info, nil
	}
	lines, err := j.log.lines(0)
	if err != nil {
		return info, fmt.Errorf("open the job's log: %w", err)
	}
	head, err := readHeader(lines)
	if err != nil {
		return info, fmt.Errorf("read the operation from the job's log: %w", err)
	}
	info.Op = ops.Redact(head.Op)
	return info, nil
}
