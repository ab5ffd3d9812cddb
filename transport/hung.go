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
// does not say either that it is there. There are as many as requests, so each is a
// timer, and a goroutine only while it asks.
type ear struct {
	answer time.Duration // how long the daemon may say nothing
	hangs  func() bool   // asks it
	found  func()        // ends the request of one that hangs
	end    context.CancelFunc
	began  time.Time
	heard  atomic.Int64 // when the daemon said something, since began

	mu     sync.Mutex
	timer  *time.Timer // nil where nothing is listened for
	over   bool
	asking sync.WaitGroup
}

// listen ends a request by cancel, with what [Client.hung] returns as its cause, once
// the daemon says nothing for Answer, and then for as long nothing about its health.
// What it says is told by hears, the end of the request by close. ctx is the
// request's.
func (c *Client) listen(ctx context.Context, cancel context.CancelCauseFunc) *ear {
	e := &ear{answer: c.Answer, began: time.Now(), end: func() {}}
	if c.Answer == 0 {
		return e
	}
	ctx, e.end = context.WithCancel(ctx)
	e.hangs, e.found = func() bool { return c.hangs(ctx) }, func() { cancel(c.hung()) }
	e.mu.Lock()
	defer e.mu.Unlock()
	e.timer = time.AfterFunc(c.Answer, e.look)
	return e
}

// look asks the daemon whether it is there, where it has said nothing for so long.
func (e *ear) look() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return
	}
	quiet := time.Since(e.began) - time.Duration(e.heard.Load())
	if quiet < e.answer {
		e.timer.Reset(e.answer - quiet)
		return
	}
	e.asking.Go(e.ask)
}

// ask ends the request of a daemon that hangs, and listens on to another.
func (e *ear) ask() {
	if e.hangs() {
		e.found()
		return
	}
	e.hears()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over {
		e.timer.Reset(e.answer)
	}
}

// hears notes that the daemon has said something.
func (e *ear) hears() { e.heard.Store(int64(time.Since(e.began))) }

// close ends the listening.
func (e *ear) close() {
	e.end()
	e.mu.Lock()
	e.over = true
	if e.timer != nil {
		e.timer.Stop()
	}
	e.mu.Unlock()
	e.asking.Wait()
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
	if err == nil || !there.Load() || ctx.Err() != nil || bounded.Err() == nil {
		return false
	}
	return c.Reaches == nil || c.Reaches(ctx)
}
