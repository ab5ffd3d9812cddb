package job

import (
	"context"
	"encoding/json"
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
	CreatedAt time.Time       `json:"created_at"`
}

// job is one job. It is the ops.Sink of the work that it runs.
type job struct {
	head   header
	log    *eventLog
	logger zerolog.Logger
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the job runs no more in this process

	mu       sync.Mutex
	state    ops.JobState
	started  *time.Time
	finished *time.Time
	err      *ops.Error
	progress coalescer
}

var _ ops.Sink = (*job)(nil)

// JobID is the job's id.
func (j *job) JobID() string { return j.head.ID }

// Cursor is where forwarding has got to.
func (j *job) Cursor() ops.Cursor {
	cursor, _ := j.log.position()
	return cursor
}

// Emit appends an event. Progress comes in floods, so only the newest of an
// action counts (see [coalescer]).
func (j *job) Emit(e ops.Event) { j.emit(e, nil) }

// Mark appends an event of another daemon's job together with where it stood
// there; without an event it only notes where.
func (j *job) Mark(e ops.Event, at ops.Cursor) {
	if e == nil {
		j.failed(j.log.append(kindCursor, nil, &at, nil))
		return
	}
	j.emit(e, &at)
}

func (j *job) emit(e ops.Event, at *ops.Cursor) {
	if n, ok := e.(ops.NarrationEvent); ok {
		j.logger.Debug().Str("actor", n.Actor).Str("action", n.Action).Msg(n.Human)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if p, ok := e.(ops.ProgressEvent); ok {
		if j.progress.hold(p, at, j.flush) {
			return
		}
	} else {
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
	if err != nil {
		j.failed(err)
		return
	}
	j.failed(j.log.append(e.Kind(), data, at, nil))
}

// failed ends the job when its log cannot be written: what cannot be kept must
// not go on as if it were.
func (j *job) failed(err error) {
	if err != nil {
		j.cancel(ops.Errorf(ops.CodeInternal, "cannot write the job's log: %w", err).
			WithHint("make room on the disk of the state folder, then try again"))
	}
}

// begin marks the job as running.
func (j *job) begin() {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now().UTC()
	j.state, j.started = ops.JobRunning, &now
}

// finish writes the last events: result or error, then the end.
func (j *job) finish(state ops.JobState, result json.RawMessage, failure *ops.Error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.progress.release(j.append)
	j.progress.stop()
	now := time.Now().UTC()
	j.state, j.finished, j.err = state, &now, failure
	end := ops.EndEvent{State: state}
	if failure != nil {
		end.Message = failure.Error()
		j.append(ops.ErrorEvent{Error: *failure}, nil)
	} else {
		j.append(ops.ResultEvent{Raw: result}, nil)
	}
	text, err := json.Marshal(end.String())
	if err != nil {
		text = []byte(`"[ERROR]"`)
	}
	info := j.info()
	if err := j.log.append(ops.KindEnd, text, nil, &info); err != nil {
		j.logger.Error().Err(err).Msg("the job's end is not in its log")
	}
	j.logger.Info().Str("state", string(state)).Err(errorOrNil(failure)).Msg("job ended")
}

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
	j.progress.stop()
	j.log.leave()
}

// Info is what the job tells of itself.
func (j *job) Info() ops.Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.info()
}

func (j *job) info() ops.Job {
	_, last := j.log.position()
	return ops.Job{
		ID: j.head.ID, Operation: j.head.Operation, Op: j.head.Op, State: j.state, Events: last,
		CreatedAt: j.head.CreatedAt, StartedAt: j.started, FinishedAt: j.finished, Error: j.err,
	}
}

// work runs f and turns a panic into an error, so that one bad job does not
// take the daemon with it.
func work(f func() (any, error)) (result json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = ops.Errorf(ops.CodeInternal, "the operation panicked: %v", p)
		}
	}()
	value, err := f()
	if err != nil {
		return nil, err
	}
	if result, err = json.Marshal(value); err != nil {
		return nil, fmt.Errorf("encode the result: %w", err)
	}
	return result, nil
}
