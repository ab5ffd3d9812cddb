package worker

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/relay"
)

// dialler is an engine that is reached by connections of its own, not requests.
type dialler interface {
	inference.Engine
	// Dial connects with the program.
	Dial(ctx context.Context) (net.Conn, error)
}

// part gives the queen connections with the engine of a worker that holds a part
// of another one's model.
type part struct {
	w *Worker

	mu     sync.Mutex
	newest net.Conn // with the engine
}

// ServeHTTP connects the queen with the engine. The program serves one connection
// after the other, so a new one ends the one before: that of a link that was cut,
// of which nothing else may tell for hours.
func (p *part) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	near, err := p.dial(r.Context())
	if err != nil {
		relay.Refuse(w, err)
		return
	}
	far, err := relay.Accept(w, r)
	if err != nil {
		_ = near.Close()
		return
	}
	p.mu.Lock()
	old := p.newest
	p.newest = near
	p.mu.Unlock()
	if old != nil {
		_ = old.Close() // it may have ended
	}
	p.w.state.change(func(i *ops.Worker) { i.Running++ })
	defer p.w.state.change(func(i *ops.Worker) { i.Running-- })
	stop := context.AfterFunc(p.w.living, func() {
		_ = near.Close()
		_ = far.Close()
	})
	defer stop()
	relay.Join(near, far, nil)
}

// dial connects with the engine, once it is there.
func (p *part) dial(ctx context.Context) (relay.Conn, error) {
	select {
	case <-p.w.settled:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	engine, ok := p.w.engine.(dialler)
	switch {
	case p.w.failure != nil:
		return nil, p.w.failure
	case !ok:
		return nil, ops.Errorf(ops.CodeUnsupported, "worker %s holds no part of another one's model", p.w.ID)
	}
	conn, err := engine.Dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect with the engine: %w", err)
	}
	if err := relay.OwnPort(conn.RemoteAddr().String()); err != nil {
		_ = conn.Close()
		return nil, ops.Errorf(ops.CodeDenied, "the engine's port was taken: %w", err)
	}
	return conn.(*net.TCPConn), nil
}
