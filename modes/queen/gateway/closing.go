package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
)

// presence counts the requests that are being answered.
type presence struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // closed when the last one leaves; nil while nobody waits for that
}

func (p *presence) enter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
}

func (p *presence) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n--; p.n == 0 && p.none != nil {
		close(p.none)
		p.none = nil
	}
}

// empty waits until no request is being answered, or ctx ends, and returns how
// many are.
func (p *presence) empty(ctx context.Context) int {
	p.mu.Lock()
	if p.n > 0 && p.none == nil {
		p.none = make(chan struct{})
	}
	none := p.none
	p.mu.Unlock()
	if none != nil {
		select {
		case <-none:
		case <-ctx.Done():
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// Settle waits until no request is being answered, or ctx ends, and returns how
// many are. Others are taken meanwhile.
func (g *Gateway) Settle(ctx context.Context) int { return g.present.empty(ctx) }

// End ends the requests that are being answered, and those that come, with err,
// which their clients are told: a [LaterError] where it is worth another try. It
// waits until all have been, or ctx ends.
func (g *Gateway) End(ctx context.Context, err error) {
	g.endRequests(ended{err})
	g.present.empty(ctx)
}

// ended is why the gateway ends requests.
type ended struct{ error }

// Unwrap is why in particular.
func (e ended) Unwrap() error { return e.error }

// attend returns r with a context that ends with the gateway's requests, too. The
// function it returns says that r was answered.
func (g *Gateway) attend(r *http.Request) (_ *http.Request, answered func()) {
	g.present.enter()
	ctx, cancel := context.WithCancelCause(r.Context())
	stop := context.AfterFunc(g.requests, func() { cancel(context.Cause(g.requests)) })
	return r.WithContext(ctx), func() {
		stop()
		cancel(nil)
		g.present.leave()
	}
}

// whyEnded is the error that the gateway has ended the request of ctx with, or
// nil: also where its client has gone by itself.
func whyEnded(ctx context.Context) error {
	if e, ok := errors.AsType[ended](context.Cause(ctx)); ok {
		return e
	}
	return nil
}
