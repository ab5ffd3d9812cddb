package transport

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"

	"rbee.dev/rbee/ops"
)

// Submit starts o as a job under the given id, or one of its own choice for "".
// A request whose answer was lost is sent again under the same id, which the
// daemon takes for the same job: the operation never runs twice.
func (c *Client) Submit(ctx context.Context, o ops.Op, id string) (ops.Accepted, error) {
	if id == "" {
		id = rand.Text()
	}
	body, err := ops.Encode(o, id)
	if err != nil {
		return ops.Accepted{}, err
	}
	attempt := func() (ops.Accepted, error) {
		var accepted ops.Accepted
		err := c.call(ctx, http.MethodPost, "/v1/jobs", body, &accepted)
		if err != nil && !errors.Is(err, ErrUnreachable) {
			return accepted, backoff.Permanent(err)
		}
		return accepted, err
	}
	return backoff.Retry(ctx, attempt,
		backoff.WithBackOff(&backoff.ExponentialBackOff{InitialInterval: 20 * time.Millisecond, MaxInterval: 200 * time.Millisecond, Multiplier: 2, RandomizationFactor: 0.3}),
		backoff.WithMaxTries(3))
}

// Call submits o, follows it and returns its result. What the job says on its
// way goes to ctx's job, if there is one, in the words of whoever said it. When
// ctx ends, the job is cancelled.
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
// token to see, and returns the result. When ctx ends or see fails, the job is
// cancelled.
func (c *Client) Do(ctx context.Context, o ops.Op, id string, see func(Received) error) (json.RawMessage, error) {
	accepted, err := c.Submit(ctx, o, id)
	if err != nil {
		return nil, err
	}
	return c.finish(ctx, accepted.JobID, 0, see)
}

// finish follows a job from the event after `after` to its end.
func (c *Client) finish(ctx context.Context, id string, after uint64, see func(Received) error) (json.RawMessage, error) {
	var result json.RawMessage
	var failure *ops.Error
	for r, err := range c.Follow(ctx, id, after) {
		if err == nil {
			switch e := r.Event.(type) {
			case ops.ResultEvent:
				result = e.Raw
			case ops.ErrorEvent:
				failure = &e.Error
			case ops.EndEvent:
				return result, ending(e, failure)
			case ops.NarrationEvent, ops.ProgressEvent, ops.TokenEvent:
				err = see(r)
			}
		}
		if err != nil {
			c.abandon(ctx, id)
			return nil, err
		}
	}
	return nil, ops.Errorf(ops.CodeInternal, "%s ended job %s without a last event", c.Name, id)
}

// ending is the error that a job's last events amount to, or nil.
func ending(e ops.EndEvent, failure *ops.Error) error {
	switch {
	case e.State == ops.JobCompleted:
		return nil
	case failure != nil:
		return failure
	case e.State == ops.JobCancelled:
		return ops.Errorf(ops.CodeCancelled, "the job was cancelled")
	}
	return ops.Errorf(ops.CodeInternal, "%s", e.Message)
}

// abandon cancels a job that nobody here waits for any more, unless this daemon
// only restarts and will take it up again.
func (c *Client) abandon(ctx context.Context, id string) {
	if errors.Is(context.Cause(ctx), ops.ErrDetached) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	// It may have ended, or its daemon may be gone: either is as good.
	_, _ = c.Cancel(ctx, id)
}
