package transport

import (
	"context"
	"encoding/json"
	"errors"

	"rbee.dev/rbee/ops"
)

// Forward has the daemon called target do o, as the job of ctx goes on: what is
// said there enters this job as it is, the result is returned as it came, a
// failure as *ops.Error. The job there has the same id as the one here, so one
// id follows a request along the whole chain.
//
// Where forwarding has got to is noted in the job here with each event. A job
// that was forwarded to target before, by a process that has ended since, is
// followed on from there: nothing is lost, said twice or done twice.
//
// When ctx ends, the job there is cancelled and the cause of ctx is the error.
// With the cause [ops.ErrDetached] the job there goes on, for the successor.
func Forward(ctx context.Context, c *Client, target string, o ops.Op) (json.RawMessage, error) {
	sink := ops.SinkOf(ctx)
	if sink == nil {
		return nil, errNoJob
	}
	return ForwardAs(ctx, c, target, o, sink.JobID())
}

var errNoJob = errors.New("forward without a job")

// ForwardAs is [Forward] with an id for the job there, for work that takes more
// than one job at target: at most 64 characters (see [ops.CheckJobID]). One job
// forwards one thing at a time, since it remembers only one place.
func ForwardAs(ctx context.Context, c *Client, target string, o ops.Op, id string) (json.RawMessage, error) {
	sink := ops.SinkOf(ctx)
	if sink == nil {
		return nil, errNoJob
	}
	at := sink.Cursor()
	if at.Target != target || at.JobID != id {
		at = ops.Cursor{Target: target, JobID: id}
		sink.Mark(nil, at)
	}
	// With nothing heard yet it is not certain that the job was submitted.
	// Submitting it again is safe: the same id is the same job.
	events := c.Follow(ctx, id, at.Last)
	if at.Last == 0 {
		events = c.begin(ctx, o, id)
	}
	end, err := c.finish(ctx, id, events, func(r Received) error {
		at.Last = r.ID
		sink.Mark(r.Event, at)
		return nil
	})
	switch {
	case err == nil:
		return end.result()
	case ctx.Err() == nil && at.Last > 0 && ops.CodeOf(err) == ops.CodeNotFound: // before, it was refused
		return nil, ops.Errorf(ops.CodeUnavailable, "%s has forgotten the job: it was restarted without its state", c.Name)
	}
	return nil, err
}
