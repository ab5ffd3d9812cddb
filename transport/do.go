package transport

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"rbee.dev/rbee/ops"
)

// Call submits o, follows it and returns its result. What the job says on its
// way goes to ctx's job, if there is one, in the words of whoever said it. When
// ctx ends, the job is cancelled and the cause of ctx is the error.
func Call[R any](ctx context.Context, c *Client, o ops.Returning[R]) (R, error) {
	var result R
	raw, err := c.Do(ctx, o, "", func(r Received) error {
		ops.Emit(ctx, r.Event)
		return nil
	})
	if err != nil {
		return result, err
	}
	if err := json.Unmarshal(raw, &result); err != nil {
		return result, ops.Errorf(ops.CodeInternal, "read the result of %s from %s: %w", o.Name(), c.Name, err)
	}
	return result, nil
}

// Do submits o under id ("" chooses one), hands each narration, progress and
// token to see, and returns the result, or the job's failure as *ops.Error.
// When ctx ends or see fails, the job is cancelled; after the end of ctx see still
// gets what the job narrates until its own, for some seconds at most. A job that was
// done before it heard of that has its result returned.
func (c *Client) Do(ctx context.Context, o ops.Op, id string, see func(Received) error) (json.RawMessage, error) {
	if id == "" {
		id = rand.Text()
	}
	end, err := c.finish(ctx, id, c.begin(ctx, o, id), see)
	if err != nil {
		return nil, err
	}
	return end.result()
}

// outcome is how a job ended.
type outcome struct {
	raw     json.RawMessage
	failure *ops.Error
}

func (o outcome) result() (json.RawMessage, error) {
	if o.failure != nil {
		return nil, o.failure
	}
	return o.raw, nil
}

// finish takes a job's events to the last. Its error says why it did not get
// there; the job is cancelled then, where there may be one.
func (c *Client) finish(ctx context.Context, id string, events iter.Seq2[Received, error], see func(Received) error) (outcome, error) {
	var end outcome
	last := uint64(0)
	for r, err := range events {
		if err == nil {
			last = r.ID
			switch e := r.Event.(type) {
			case ops.ResultEvent:
				end.raw = e.Raw
			case ops.ErrorEvent:
				end.failure = &e.Error
			case ops.EndEvent:
				return end.as(e), nil
			case ops.NarrationEvent, ops.ProgressEvent, ops.TokenEvent:
				err = see(r)
			}
		}
		if refused, ok := errors.AsType[refusal](err); ok {
			return end, refused.error
		}
		if err != nil {
			if told := c.giveUp(ctx, id, err); told && ctx.Err() != nil && c.lastWords(ctx, id, last, see, &end) {
				return end, nil
			}
			return end, err
		}
	}
	return end, ops.Errorf(ops.CodeInternal, "%s ended job %s without a last event", c.Name, id)
}

// giveUp cancels a job that is followed no further, unless the daemon has just
// said that it knows no such job.
// It reports whether the job was told.
func (c *Client) giveUp(ctx context.Context, id string, err error) bool {
	if ctx.Err() == nil && ops.CodeOf(err) == ops.CodeNotFound {
		return false
	}
	return c.abandon(ctx, id)
}

// lastWithin bounds how long the end of a job is waited for that was cancelled: a
// little longer than the daemon itself waits for another one (see [cancelWithin]).
const lastWithin = cancelWithin + time.Second

// lastWords hands to see what a job that was cancelled narrates until its end, as
// what it keeps. It reports whether the job had been done all the same, which end
// then tells: a cancel that came too late undoes nothing. Of an answer it is not,
// where tokens were not seen.
func (c *Client) lastWords(ctx context.Context, id string, after uint64, see func(Received) error, end *outcome) (done bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWithin)
	defer cancel()
	whole := true
	for r, err := range c.Follow(ctx, id, after) {
		if err != nil {
			return false
		}
		switch e := r.Event.(type) {
		case ops.NarrationEvent:
			if see(r) != nil {
				return false
			}
		case ops.TokenEvent:
			whole = false
		case ops.ResultEvent:
			end.raw = e.Raw
		case ops.EndEvent:
			return whole && e.State == ops.JobCompleted
		case ops.ProgressEvent, ops.ErrorEvent:
		}
	}
	return false
}

// as fits the outcome to the last event, which says whether the job failed.
func (o outcome) as(e ops.EndEvent) outcome {
	switch {
	case e.State == ops.JobCompleted:
		o.failure = nil
	case o.failure != nil: // the error event told more
	case e.State == ops.JobCancelled:
		o.failure = ops.Errorf(ops.CodeCancelled, "the job was cancelled")
	default:
		o.failure = ops.Errorf(ops.CodeInternal, "%s", e.Message)
	}
	return o
}
