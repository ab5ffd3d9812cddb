package transport

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/r3labs/sse/v2"

	"rbee.dev/rbee/ops"
)

// maxEvent bounds one event of a stream, in bytes: the result of an inference
// carries its whole text.
const maxEvent = 64 << 20

// Received is one event of a job's stream.
type Received struct {
	ID    uint64
	Event ops.Event
}

// errEnough ends a stream whose reader wants no more of it.
var errEnough = errors.New("the reader has enough")

// Follow yields the events of a job that come after the one called after, each
// once and in order, to the last one. A stream that breaks is taken up again
// behind the newest event; after Patience without an answer, or when the daemon
// says that there is no such job, Follow yields the error and ends.
func (c *Client) Follow(ctx context.Context, id string, after uint64) iter.Seq2[Received, error] {
	return func(yield func(Received, error) bool) {
		f := follower{client: c, path: "/v1/jobs/" + id + "/stream", last: after, yield: yield}
		if err := f.run(ctx); err != nil {
			yield(Received{}, err)
		}
	}
}

// follower is one reader of one job's stream, over any number of connections.
type follower struct {
	client *Client
	path   string
	last   uint64 // newest event that was yielded
	ended  bool   // the last one was
	yield  func(Received, error) bool
}

// run connects until the end was seen. It returns nil when the reader has all
// it wants.
func (f *follower) run(ctx context.Context) error {
	var lost time.Time // when the stream broke; zero while it is fine
	pause := &backoff.ExponentialBackOff{InitialInterval: 10 * time.Millisecond, MaxInterval: time.Second, Multiplier: 2, RandomizationFactor: 0.3}
	for {
		before := f.last
		err := f.connect(ctx)
		switch {
		case f.ended || errors.Is(err, errEnough):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case permanent(err):
			return err
		}
		if f.last > before {
			lost = time.Time{}
		}
		if lost.IsZero() {
			lost = time.Now()
			pause.Reset()
			if f.client.OnLost != nil {
				f.client.OnLost(ctx, err)
			}
		}
		if time.Since(lost) > f.client.Patience {
			return f.client.unreachable(ctx, fmt.Errorf("its stream broke %s ago: %w", f.client.Patience, err))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// permanent reports whether connecting again cannot help: the daemon answered,
// and not that it is unavailable.
func permanent(err error) bool {
	e, ok := errors.AsType[*ops.Error](err)
	return ok && e.Code != ops.CodeUnavailable
}

// connect reads one connection of the stream until it breaks.
func (f *follower) connect(ctx context.Context) error {
	return f.client.stream(ctx, f.path, f.last, func(e *sse.Event) error {
		id, err := strconv.ParseUint(string(e.ID), 10, 64)
		if err != nil {
			return fmt.Errorf("event with id %q", e.ID)
		}
		if id <= f.last {
			return nil
		}
		if id != f.last+1 {
			return ops.Errorf(ops.CodeInternal, "%s left out events %d to %d", f.client.Name, f.last+1, id-1)
		}
		event, err := ops.DecodeEvent(string(e.Event), e.Data)
		if err != nil {
			return err // the connection broke within the event, most likely
		}
		f.last = id
		_, f.ended = event.(ops.EndEvent)
		if !f.yield(Received{ID: id, Event: event}, nil) || f.ended {
			return errEnough
		}
		return nil
	})
}

// stream reads one connection of an event stream, without any retry, and hands
// each event to see until that fails. The r3labs client parses; what it does
// about connections is unfit for streams that must lose nothing, so it gets one
// attempt, and a stream that just ends is an error here.
func (c *Client) stream(ctx context.Context, path string, after uint64, see func(*sse.Event) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	reader := sse.NewClient(c.BaseURL+path, sse.ClientMaxBufferSize(maxEvent))
	reader.Connection = c.http
	reader.ReconnectStrategy = &backoff.StopBackOff{}
	if after > 0 {
		reader.LastEventID.Store([]byte(strconv.FormatUint(after, 10)))
	}
	c.authorize(func(key, value string) { reader.Headers[key] = value })
	reader.ResponseValidator = func(_ *sse.Client, answer *http.Response) error {
		if answer.StatusCode == http.StatusOK {
			return nil
		}
		defer answer.Body.Close()
		return c.failure(answer)
	}
	var stop error // why see wants no more
	err := reader.SubscribeRawWithContext(ctx, func(e *sse.Event) {
		if stop != nil || len(e.Data) == 0 { // a comment arrives as an event without data
			return
		}
		if stop = see(e); stop != nil {
			cancel(stop)
		}
	})
	switch {
	case stop != nil:
		return stop
	case err != nil:
		return c.unreachable(ctx, err)
	}
	return c.unreachable(ctx, errors.New("the stream broke off"))
}
