package transport

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/r3labs/sse/v2"

	"rbee.dev/rbee/ops"
)

// Received is one event of a job's stream.
type Received struct {
	ID    uint64
	Event ops.Event
}

// Follow yields the events of a job that come after the one called after, each
// once and in order, to the last one. A stream that breaks is taken up again
// behind the newest event; after Patience without hearing anything, or when the
// daemon says that there is no such job or hangs before the first event, Follow
// yields the error and ends.
func (c *Client) Follow(ctx context.Context, id string, after uint64) iter.Seq2[Received, error] {
	return func(yield func(Received, error) bool) {
		f := follower{client: c, path: jobPath(id) + "/stream", last: after, yield: yield}
		if err := f.run(ctx); err != nil {
			yield(Received{}, err)
		}
	}
}

// follower is one reader of one job's stream, over any number of connections.
type follower struct {
	client *Client
	path   string
	submit []byte // submits the job, for as long as no event of it was heard; nil of one that is known
	sent   bool   // the daemon may have the job
	// refused is that it certainly has not, and takes it not.
	refused bool
	last    uint64 // newest event that was yielded
	yield   func(Received, error) bool
}

// begin yields the events of the job that is submitted as o under id. One
// request does both: submitting first and following then would cost another way
// there and back. A request whose answer was lost is sent again under the same
// id, which the daemon takes for the same job: the operation never runs twice.
// Where nobody listens, begin fails at once.
func (c *Client) begin(ctx context.Context, o ops.Op, id string) iter.Seq2[Received, error] {
	return func(yield func(Received, error) bool) {
		f := follower{client: c, path: jobPath(id) + "/stream", yield: yield}
		var err error
		if f.submit, err = ops.Encode(o, id); err == nil {
			err = f.run(ctx)
		}
		if err != nil && f.refused {
			err = refusal{err}
		}
		if err != nil {
			yield(Received{}, err)
		}
	}
}

// refusal is the error of a job that certainly is none: there is nothing to cancel.
type refusal struct{ error }

// run connects until the end was seen. It returns nil when the reader has all
// it wants.
func (f *follower) run(ctx context.Context) error {
	var lost time.Time // when the stream broke that is to be had back
	pause := newPause()
	for {
		before := f.last
		heard, err := f.connect(ctx)
		switch {
		case errors.Is(err, errLast) || errors.Is(err, errEnough):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errAccepted):
			f.submit = nil
			continue
		}
		f.refused = !heard && f.unsubmitted(err)
		if permanent(err) || f.refused || f.last == 0 && errors.Is(err, ErrHung) {
			return err
		}
		if f.last > before {
			pause.Reset()
		}
		if heard || lost.IsZero() {
			lost = time.Now()
			if f.client.OnLost != nil {
				f.client.OnLost(ctx, err)
			}
		}
		if time.Since(lost) > f.client.Patience {
			return f.gone(err)
		}
		if err := sleep(ctx, pause.NextBackOff()); err != nil {
			return err
		}
	}
}

// gone is err as it is told once Patience has passed.
func (f *follower) gone(err error) error {
	e := f.client.unreachable(err)
	if f.last == 0 || errors.Is(err, ErrHung) {
		return e // whose hint helps more
	}
	tried := fmt.Sprintf("tried for %s to get the job's stream back", f.client.Patience)
	if e.Hint != "" {
		tried = e.Hint + "; " + tried
	}
	return e.WithHint("%s", tried)
}

// permanent reports whether connecting again cannot help: the daemon or the way
// to it has answered, and not that it is unavailable or was too slow, as a cut
// link is.
func permanent(err error) bool {
	e, ok := errors.AsType[*ops.Error](err)
	return ok && e.Code != ops.CodeUnavailable && e.Code != ops.CodeTimeout
}

// unsubmitted reports whether the job certainly was not taken: nobody was there,
// or the daemon takes none.
func (f *follower) unsubmitted(err error) bool {
	return f.submit != nil && (!f.sent || !errors.Is(err, ErrUnreachable))
}

// connect reads one connection of the stream until it breaks, and says whether
// anything came.
func (f *follower) connect(ctx context.Context) (heard bool, err error) {
	s := connection{client: f.client, path: f.path, submit: f.submit, after: f.last, see: f.see}
	if f.submit != nil {
		s.path = "/v1/jobs"
	}
	err = s.read(ctx)
	if _, none := errors.AsType[notDialled](err); !none {
		f.sent = true
	}
	return s.body.heard.Load(), err
}

// see yields the event unless it was yielded before.
func (f *follower) see(e *sse.Event) error {
	id, err := strconv.ParseUint(string(e.ID), 10, 64)
	if err != nil {
		return ops.Errorf(ops.CodeInternal, "%s sent an event with the id %q", f.client.Name, e.ID)
	}
	if id <= f.last {
		return nil
	}
	if id != f.last+1 {
		return ops.Errorf(ops.CodeInternal, "%s left out events %d to %d", f.client.Name, f.last+1, id-1)
	}
	event, err := ops.DecodeEvent(string(e.Event), e.Data)
	if err != nil {
		return ops.Errorf(ops.CodeInternal, "read event %d of %s: %w", id, f.client.Name, err).
			WithHint("do both sides run the same version of rbee?")
	}
	f.last, f.submit = id, nil
	more := f.yield(Received{ID: id, Event: event}, nil)
	if _, last := event.(ops.EndEvent); last {
		return errLast
	}
	if !more {
		return errEnough
	}
	return nil
}

// newPause gives the pauses between attempts to reach a daemon again: short at
// first, since a restart takes a fraction of a second.
func newPause() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: 10 * time.Millisecond, MaxInterval: time.Second, Multiplier: 2, RandomizationFactor: 0.3,
	}
}

// sleep waits, or returns the cause of ctx when that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
