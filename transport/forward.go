package transport

import (
	"context"
	"encoding/json"
	"errors"

	"rbee.dev/rbee/ops"
)

// Forward has the daemon called target do o, as the job of ctx goes on: what is
// said there enters this job as it is, the result is returned as it came. The
// job there has the same id as the one here, so one id follows a request along
// the whole chain.
//
// Where forwarding has got to is noted in the job here with each event. A job
// that was forwarded to target before, by a process that has ended since, is
// followed on from there and not submitted again.
func Forward(ctx context.Context, c *Client, target string, o ops.Op) (json.RawMessage, error) {
	sink := ops.SinkOf(ctx)
	if sink == nil {
		return nil, errors.New("forward without a job")
	}
	at := sink.Cursor()
	if at.Target != target {
		at = ops.Cursor{Target: target, JobID: sink.JobID()}
		if _, err := c.Submit(ctx, o, at.JobID); err != nil {
			return nil, submitFailed(ctx, c, at.JobID, err)
		}
		sink.Mark(nil, at)
	}
	raw, err := c.finish(ctx, at.JobID, at.Last, func(r Received) error {
		at.Last = r.ID
		sink.Mark(r.Event, at)
		return nil
	})
	if e, ok := errors.AsType[*ops.Error](err); ok && e.Code == ops.CodeNotFound && at.JobID == sink.JobID() && forgotten(ctx, c, at.JobID) {
		return nil, ops.Errorf(ops.CodeUnavailable, "%s has forgotten the job: it was restarted without its state", c.Name)
	}
	return raw, err
}

// submitFailed cancels a job that may have been taken although the answer did
// not arrive.
func submitFailed(ctx context.Context, c *Client, id string, err error) error {
	if ctx.Err() != nil {
		c.abandon(ctx, id)
	}
	return err
}

// forgotten tells a job that is not known from one that failed with not_found.
func forgotten(ctx context.Context, c *Client, id string) bool {
	_, err := c.Job(ctx, id)
	return ops.CodeOf(err) == ops.CodeNotFound
}
