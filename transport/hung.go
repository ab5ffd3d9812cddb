package transport

import (
	"context"
	"errors"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"rbee.dev/rbee/ops"
)

// ErrHung is in the chain of the error of a daemon that takes connections and says
// nothing, beside [ErrUnreachable].
var ErrHung = errors.New("does not answer")

// errHangs is both of them, in the words of one.
var errHangs error = hangs{}

type hangs struct{}

// Error is that of ErrHung.
func (hangs) Error() string { return ErrHung.Error() }

// Unwrap returns both errors.
func (hangs) Unwrap() []error { return []error{ErrHung, ErrUnreachable} }

// hung is the error of a daemon that hangs.
func (c *Client) hung() *ops.Error {
	return ops.Errorf(ops.CodeUnavailable, "%s %w", c.Name, errHangs).WithHint("%s", c.HungHint)
}

// ear notices that a daemon hangs which a request was sent to: it says nothing, and
// does not say either that it is there.
type ear struct {
	began time.Time
	heard atomic.Int64 // when it said something, since began
	end   context.CancelFunc
	alive sync.WaitGroup
}

// listen ends a request by cancel, with what [Client.hung] returns as its cause, once
// the daemon says nothing for Answer, and then for as long nothing about its health.
// What it says is told by hears, the end of the request by close. ctx is the
// request's.
func (c *Client) listen(ctx context.Context, cancel context.CancelCauseFunc) *ear {
	e := &ear{began: time.Now(), end: func() {}}
	if c.Answer == 0 {
		return e
	}
	ctx, e.end = context.WithCancel(ctx)
	e.alive.Go(func() {
		for {
			quiet := time.Since(e.began) - time.Duration(e.heard.Load())
			if quiet < c.Answer {
				if sleep(ctx, c.Answer-quiet) != nil {
					return
				}
				continue
			}
			if c.hangs(ctx) {
				cancel(c.hung())
				return
			}
			e.hears()
		}
	})
	return e
}

// hears notes that the daemon has said something.
func (e *ear) hears() { e.heard.Store(int64(time.Since(e.began))) }

// close ends the listening.
func (e *ear) close() {
	e.end()
	e.alive.Wait()
}

// hangs asks the daemon whether it is there, and reports whether it has let Answer
// pass without a word although it was connected to.
func (c *Client) hangs(ctx context.Context) bool {
	bounded, cancel := context.WithTimeout(ctx, c.Answer)
	defer cancel()
	var there atomic.Bool
	traced := httptrace.WithClientTrace(bounded, &httptrace.ClientTrace{
		GotConn:           func(httptrace.GotConnInfo) { there.Store(true) },
		TLSHandshakeStart: func() { there.Store(true) },
	})
	_, err := c.Health(traced)
	return err != nil && there.Load() && ctx.Err() == nil && bounded.Err() != nil
}
