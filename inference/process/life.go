package process

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
)

// life is one process from its start to its end, as requests see it.
type life struct {
	server *Server
	again  bool // it is not the first
	// settled is closed when the process can be used or never will be; what
	// follows is written before and not changed after.
	settled chan struct{}
	pid     int
	at      Launch // how it was started
	dial    func(context.Context) (net.Conn, error)
	proxy   *httputil.ReverseProxy
	client  *http.Client
	output  *tail
	watch   *watch
	refused chan struct{} // holds one token once a connection was
	failure error
	// ended is closed when the process is gone; why is written before.
	ended chan struct{}
	why   error
}

func (s *Server) newLife() *life {
	return &life{server: s, watch: &watch{}, refused: make(chan struct{}, 1), settled: make(chan struct{}), ended: make(chan struct{})}
}

// stillborn is a life that never was, for the given reason.
func (s *Server) stillborn(why error) *life {
	l := s.newLife()
	l.failure = why
	close(l.settled)
	return l
}

// finish says that the process is gone, and why. It is called once.
func (l *life) finish(why error) {
	l.why = why
	select {
	case <-l.settled:
	default:
		l.failure = why
		close(l.settled)
	}
	close(l.ended)
}

// lead starts the process and returns when it has ended: how long it could be
// used, and why it ended. The end of ctx ends it.
func (l *life) lead(ctx context.Context) (lasted time.Duration, why error) {
	o := l.server.options
	launch, err := o.Prepare(ctx)
	if err != nil {
		return 0, err
	}
	l.output = newTail(o.Ready)
	c, err := start(launch, l.output)
	if err != nil {
		return 0, ops.Errorf(ops.CodeUnavailable, "start %s: %w", o.Name, err)
	}
	l.connect(launch)
	defer l.client.CloseIdleConnections()
	ready, why := l.answers(ctx, c)
	if ready {
		began := time.Now()
		l.pid = c.pid
		close(l.settled)
		if l.again {
			o.Changed(nil)
		}
		why = l.last(ctx, c)
		lasted = max(1, time.Since(began))
	}
	if ctx.Err() != nil {
		c.stop(o.Patience)
		return lasted, errClosed
	}
	if why != nil {
		return lasted, why
	}
	return lasted, o.Explain(ops.Errorf(ops.CodeUnavailable, "%w", &Death{Name: o.Name, Status: status(c.failure), Lines: l.output.list()}))
}

// last returns when the process has ended or ctx has. One that hung, took no
// connections any more, or cannot go on, it ends, and says so.
func (l *life) last(ctx context.Context, c *child) (why error) {
	watching, end := context.WithCancel(ctx)
	useless := make(chan error, 3)
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer end()
	o := l.server.options
	look := func(finds func() error) {
		watchers.Go(func() {
			if err := finds(); err != nil {
				useless <- err
			}
		})
	}
	look(func() error { return l.deaf(watching) })
	if o.Silence > 0 {
		look(func() error { return l.hangs(watching, c) })
	}
	if o.Broken != nil {
		look(func() error {
			if !o.Broken(watching) {
				return nil
			}
			return o.Explain(ops.Errorf(ops.CodeUnavailable, "%s was ended", o.Name))
		})
	}
	select {
	case <-c.done:
	case <-ctx.Done():
	case why = <-useless:
		c.stop(0)
	}
	return why
}

// connect makes the client and the proxy that reach the process.
func (l *life) connect(launch Launch) {
	l.at = launch
	l.dial = func(ctx context.Context) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, launch.Network, launch.Address)
		if refused(err) {
			select {
			case l.refused <- struct{}{}:
			default: // it is known
			}
		}
		return conn, err
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.dial(ctx) },
		// A kept connection may be closed by the other side just as a request
		// is written to it, and a POST is not sent twice. A new one to the
		// same machine takes microseconds.
		DisableKeepAlives:  true,
		DisableCompression: true, // clients may ask for it
	}
	var through http.RoundTripper = transport
	if launch.Key != "" {
		through = keyed{transport, "Bearer " + launch.Key}
	}
	l.client = &http.Client{Transport: through}
	l.proxy = l.newProxy(watched{through, l.watch})
}

// keyed sends requests with a key.
type keyed struct {
	*http.Transport
	authorization string
}

// RoundTrip sends the request, with the key in place of what it had.
func (k keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", k.authorization)
	return k.Transport.RoundTrip(r)
}

func (l *life) get(ctx context.Context, path string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine"+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", path, err)
	}
	return l.client.Do(r)
}
