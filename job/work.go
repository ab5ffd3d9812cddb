package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"rbee.dev/rbee/ops"
)

// start runs the job. The caller holds the lock or is alone.
func (s *Server[O]) start(j *job, o O) {
	ctx, cancel := context.WithCancelCause(s.base)
	j.cancel = cancel
	ctx = ops.WithTurn(ops.WithCaller(ops.WithSink(j.logger.WithContext(ctx), j), j.by), j.turn)
	j.begin()
	s.idle.began()
	s.work.Go(func() {
		defer s.idle.ended()
		defer cancel(nil)
		result, err := s.perform(ctx, j, o)
		s.conclude(ctx, j, result, err)
	})
	j.logger.Info().Msg("job started") // which the job need not wait for
}

// perform does the operation and encodes its result. A panic is an error, so
// that one bad job does not take the daemon with it.
func (s *Server[O]) perform(ctx context.Context, j *job, o O) (result json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			j.logger.Error().Str("stack", string(debug.Stack())).Msgf("the operation panicked: %v", p)
			err = ops.Errorf(ops.CodeInternal, "the operation panicked: %v", p)
		}
	}()
	value, err := s.Run(ctx, o)
	if err != nil {
		return nil, err
	}
	if result, err = json.Marshal(value); err != nil {
		return nil, fmt.Errorf("encode the result: %w", err)
	}
	return result, nil
}

// conclude ends the job in the state that fits how its work ended. Work that
// succeeded although it was to end has succeeded.
func (s *Server[O]) conclude(ctx context.Context, j *job, result json.RawMessage, err error) {
	cause := context.Cause(ctx)
	switch {
	case err == nil:
		s.finish(j, ops.JobCompleted, result, nil)
	case errors.Is(cause, ops.ErrDetached):
		j.detach()
	default:
		if cause != nil { // why it was ended says more than how the work noticed
			err = cause
		}
		failure := ops.AsError(err)
		state := ops.JobFailed
		if failure.Code == ops.CodeCancelled {
			state = ops.JobCancelled
		}
		s.finish(j, state, nil, failure)
	}
}

// finish ends the job, and counts it among the finished.
func (s *Server[O]) finish(j *job, state ops.JobState, result json.RawMessage, failure *ops.Error) {
	if !j.finish(state, result, failure) {
		return
	}
	defer s.spares.prepare(2) // last: whoever saw the job's end may ask for the list now
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.forget(time.Now())
	s.finished = append(s.finished, j)
	if ops.IsLookup(j.operation) {
		s.lookups++
	}
	// A job that ended a moment later may have come here first.
	for i := len(s.finished) - 1; i > 0 && s.finished[i-1].endedAt().After(*j.endedAt()); i-- {
		s.finished[i], s.finished[i-1] = s.finished[i-1], s.finished[i]
	}
}
