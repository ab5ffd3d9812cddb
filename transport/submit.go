package transport

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"rbee.dev/rbee/ops"
)

// Submit starts o as a job under the given id, or one of its own choice for "".
// A request whose answer was lost is sent again under the same id, which the
// daemon takes for the same job: the operation never runs twice. Where nobody
// listens, Submit fails at once. When ctx ends before the answer, the job is
// cancelled.
func (c *Client) Submit(ctx context.Context, o ops.Op, id string) (ops.Accepted, error) {
	var accepted ops.Accepted
	if id == "" {
		id = rand.Text()
	}
	body, err := ops.Encode(o, id)
	if err != nil {
		return accepted, err
	}
	began := time.Now()
	sent := false // the daemon may have the job
	pause := newPause()
	for {
		err := c.call(ctx, http.MethodPost, "/v1/jobs", body, &accepted)
		if err == nil {
			return accepted, nil
		}
		if _, none := errors.AsType[notDialled](err); !none {
			sent = true
		}
		if ctx.Err() != nil {
			if sent {
				c.abandon(ctx, id)
			}
			return accepted, context.Cause(ctx)
		}
		if !sent || !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrHung) || time.Since(began) > c.Patience {
			return accepted, err
		}
		_ = sleep(ctx, pause.NextBackOff()) // should ctx end here, so does the next request
	}
}

// cancelWithin bounds the last request about a job that is given up.
const cancelWithin = 2 * time.Second

// abandon cancels a job that nobody here waits for any more, unless this daemon
// only restarts and will take it up again. It reports whether the daemon was told;
// where one is there that has not answered, ctx's job says so.
func (c *Client) abandon(ctx context.Context, id string) bool {
	if errors.Is(context.Cause(ctx), ops.ErrDetached) {
		return false
	}
	given := ctx.Err() != nil // somebody cancelled it
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelWithin)
	defer cancel()
	pause := newPause()
	for range 4 {
		_, err := c.Cancel(ctx, id)
		if err == nil {
			return true
		}
		if _, none := errors.AsType[notDialled](err); none {
			return false // there is no daemon to run it, nor one that says how it ends
		}
		// The submission may be on its way still, overtaken by this request.
		if sleep(ctx, pause.NextBackOff()) != nil {
			break
		}
	}
	if given {
		ops.Warn(ctx, "cancel_unheard", "%s has not answered that this is cancelled: it may do it yet", c.Name)
	} else {
		ops.Warn(ctx, "cancel_unheard", "%s has not answered that nobody waits for this any more: it may do it yet", c.Name)
	}
	return false
}
