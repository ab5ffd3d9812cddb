package ssh

import (
	"cmp"
	"context"
	"net"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"rbee.dev/rbee/ops"
)

// LinkOptions say how a [Link] behaves. The zero value is for use.
type LinkOptions struct {
	// FirstWait is the pause before the first new attempt after a failure; 0
	// is 1 s. It doubles from one attempt to the next, give or take half.
	FirstWait time.Duration
	// LongestWait is the longest pause; 0 is 30 s.
	LongestWait time.Duration
	// DeniedWait is the pause after a host key or a login was refused, which
	// trying again seldom mends and servers take for an attack; 0 is 5 min.
	DeniedWait time.Duration
	// Paused makes no attempt of its own until [Link.Wake], [Link.Reconnect]
	// or [Link.Use].
	Paused bool
}

// linkTimeout bounds one attempt, unless [Options.Timeout] says otherwise:
// less than a Dial's, as the system's own retries grow far apart by then.
const linkTimeout = 10 * time.Second

// LinkState is whether a machine can be spoken with.
type LinkState struct {
	// Up is whether there is a connection.
	Up bool
	// Since is when that began.
	Since time.Time
	// Err is why the link is down, an [ops.Error] of the last attempt or of
	// the connection that was lost; nil while up and until the first attempt
	// has ended.
	Err error
}

// Link keeps one connection to a machine: it dials, notices the end, and dials
// again. Its methods may be called from several goroutines at once.
type Link struct {
	target  Target
	options Options
	config  LinkOptions
	cancel  context.CancelFunc
	ended   chan struct{}
	wake    chan struct{} // holds at most one token
	adopt   chan *Conn

	mu      sync.Mutex
	state   LinkState
	conn    *Conn // while up
	tries   int   // attempts that have ended
	changed chan struct{}
}

// NewLink begins to connect. The caller closes the link.
func NewLink(t Target, o Options, lo LinkOptions) *Link {
	o.Timeout = cmp.Or(o.Timeout, linkTimeout)
	lo.FirstWait = cmp.Or(lo.FirstWait, time.Second)
	lo.LongestWait = cmp.Or(lo.LongestWait, 30*time.Second)
	lo.DeniedWait = cmp.Or(lo.DeniedWait, 5*time.Minute)
	ctx, cancel := context.WithCancel(context.Background())
	l := &Link{
		target: t, options: o, config: lo, cancel: cancel, ended: make(chan struct{}),
		wake: make(chan struct{}, 1), adopt: make(chan *Conn), changed: make(chan struct{}),
		state: LinkState{Since: time.Now()},
	}
	go l.run(ctx)
	return l
}

// State is how the link is now, and a channel that is closed when that changes.
func (l *Link) State() (LinkState, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.changed
}

// Wake tries to connect now instead of after the pause. A link that is up
// stays as it is.
func (l *Link) Wake() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Use hands the link a connection that was made with what the link has not: a
// password, say. It takes the place of the link's own, which is closed, and is
// the link's to close, and has the link's Pipe from now on: nothing may have
// been dialled over it before. On a closed link it is closed at once.
func (l *Link) Use(c *Conn) {
	if c.options.Pipe.IsZero() {
		c.options.Pipe = l.options.Pipe
	}
	select {
	case l.adopt <- c:
	case <-l.ended:
		_ = c.Close()
	}
}

// Conn is the connection. Of a link that is down it fails at once with the
// reason; only the first attempt is waited for.
func (l *Link) Conn(ctx context.Context) (*Conn, error) { return l.await(ctx, 1) }

// Reconnect is Conn, but a link that is down tries again now, and the outcome
// of that is waited for.
func (l *Link) Reconnect(ctx context.Context) (*Conn, error) {
	l.mu.Lock()
	tries := l.tries + 1
	l.mu.Unlock()
	l.Wake()
	return l.await(ctx, tries)
}

// await returns the connection once there is one, or the reason why not once
// so many attempts have ended.
func (l *Link) await(ctx context.Context, tries int) (*Conn, error) {
	for {
		l.mu.Lock()
		conn, err, changed, enough := l.conn, l.state.Err, l.changed, l.tries >= tries
		l.mu.Unlock()
		switch {
		case conn != nil:
			return conn, nil
		case enough && err != nil:
			return nil, err
		}
		select {
		case <-changed:
		case <-l.ended:
			return nil, l.errClosed()
		case <-ctx.Done():
			return nil, errContext(ctx, "reach", l.target.String())
		}
	}
}

func (l *Link) errClosed() error {
	return ops.Errorf(ops.CodeUnavailable, "the link to %s was closed", l.target).WithHint("the hive was removed, or the queen is shutting down")
}

// DialContext connects to a Unix socket on the machine, as [Conn.DialContext].
// It has the reason at once where the link is down.
func (l *Link) DialContext(ctx context.Context, path string) (net.Conn, error) {
	c, err := l.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return c.DialContext(ctx, path)
}

// Lives asks the machine whether it is there, and reports whether it answered before
// ctx ended. What was sent to it before has arrived then.
func (l *Link) Lives(ctx context.Context) bool {
	c, err := l.Conn(ctx)
	if err != nil {
		return false
	}
	lives, err := bounded(ctx, c, "ask", func() (bool, error) { return c.lives(), nil }, func(bool) {})
	return err == nil && lives
}

// Close ends the link and its connection, and waits for both.
func (l *Link) Close() error {
	l.cancel()
	<-l.ended
	return nil
}

// run is the only goroutine that changes the state.
func (l *Link) run(ctx context.Context) {
	defer close(l.ended)
	pause := &backoff.ExponentialBackOff{
		InitialInterval: l.config.FirstWait, MaxInterval: l.config.LongestWait, Multiplier: 2, RandomizationFactor: 0.5,
	}
	pause.Reset()
	var next *Conn
	if l.config.Paused {
		next = l.rest(ctx, -1)
	}
	for ctx.Err() == nil {
		err := error(nil)
		if next == nil {
			next, err = l.dial(ctx)
		}
		if err != nil {
			l.tried(nil, err)
			next = l.rest(ctx, l.wait(pause, err))
			continue
		}
		pause.Reset()
		l.tried(next, nil)
		if next = l.hold(ctx, next); next == nil {
			next = l.rest(ctx, pause.NextBackOff())
		}
	}
	if next != nil {
		_ = next.Close()
	}
	l.set(nil, l.errClosed())
}

// dial makes an attempt. A connection that arrives meanwhile ends it.
func (l *Link) dial(ctx context.Context) (*Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn *Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		c, err := Dial(ctx, l.target, l.options)
		done <- result{c, err}
	}()
	select {
	case r := <-done:
		return r.conn, r.err
	case given := <-l.adopt:
		cancel()
		if r := <-done; r.conn != nil {
			_ = r.conn.Close()
		}
		return given, nil
	}
}

// wait is how long to pause after err.
func (l *Link) wait(pause *backoff.ExponentialBackOff, err error) time.Duration {
	d := pause.NextBackOff()
	if ops.CodeOf(err) == ops.CodeDenied {
		return l.config.DeniedWait
	}
	return d
}

// rest pauses for d (for good if negative), unless it is woken or given a
// connection, which it returns.
func (l *Link) rest(ctx context.Context, d time.Duration) *Conn {
	var timeout <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-ctx.Done():
	case <-timeout:
	case <-l.wake:
	case given := <-l.adopt:
		return given
	}
	return nil
}

// hold keeps a connection until it or the link ends, or another is given,
// which it returns.
func (l *Link) hold(ctx context.Context, c *Conn) (next *Conn) {
	for {
		select {
		case <-l.wake: // nothing to do
			continue
		case <-ctx.Done():
		case <-c.Done():
			l.set(nil, c.Err())
		case next = <-l.adopt:
		}
		_ = c.Close()
		return next
	}
}

// tried is set after an attempt.
func (l *Link) tried(c *Conn, err error) {
	l.mu.Lock()
	l.tries++
	l.mu.Unlock()
	l.set(c, err)
}

// set changes the state: up with a connection, down with a reason.
func (l *Link) set(c *Conn, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if up := c != nil; up != l.state.Up {
		l.state.Up, l.state.Since = up, time.Now()
	}
	l.conn, l.state.Err = c, err
	close(l.changed)
	l.changed = make(chan struct{})
}
