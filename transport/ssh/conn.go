package ssh

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/melbahja/goph"
	xssh "golang.org/x/crypto/ssh"

	"rbee.dev/rbee/ops"
)

// Conn is a connection to a machine. Its methods may be called from several
// goroutines at once.
type Conn struct {
	dialer  *dialer
	client  *xssh.Client
	options Options
	hop     Hop
	name    string // the machine, for messages

	done    chan struct{} // closed when the connection has ended
	mu      sync.Mutex
	err     error // why, once done is closed
	closing sync.Once
	work    sync.WaitGroup // every goroutine of the connection
	tunnel  tunnel
}

func newConn(d *dialer, hop Hop) *Conn {
	c := &Conn{dialer: d, client: d.clients[len(d.clients)-1], options: d.options, hop: hop, name: d.label(hop), done: make(chan struct{})}
	c.tunnel.starting = make(chan struct{}, 1)
	c.options.Secrets = Secrets{} // they have served
	c.spawn(func() {
		err := c.client.Wait()
		c.fail(ops.Errorf(ops.CodeUnavailable, "the connection to %s was lost: %w", c.name, err).
			WithHint("see whether the machine is on and reachable"))
	})
	c.spawn(c.keepalive)
	return c
}

// spawn runs f in a goroutine that Close waits for, unless the connection has
// ended.
func (c *Conn) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return false
	}
	c.work.Go(f)
	return true
}

// Hop is where the connection leads.
func (c *Conn) Hop() Hop { return c.hop }

// Done is closed when the connection has ended, for whatever reason.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is why the connection ended: an [ops.Error], or nil while it lives.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// fail ends the connection for a reason; only the first counts.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
		close(c.done)
	}
	c.mu.Unlock()
	_ = c.dialer.base.Close()
}

// lives asks the other side, and reports whether it answered. The library has
// one answer, io.EOF, for a channel that ended and for a connection that did;
// a connection that still answers has not ended. Where it has, Err says why.
func (c *Conn) lives() bool {
	if _, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil); err == nil {
		return true
	}
	<-c.done
	return false
}

// Close ends the connection with all that runs over it, and waits until its
// goroutines have ended.
func (c *Conn) Close() error {
	c.closing.Do(func() {
		c.fail(ops.Errorf(ops.CodeUnavailable, "the connection to %s was closed", c.name).WithHint("connect again"))
		c.dialer.close()
	})
	c.work.Wait()
	return nil
}

// Goph is the same connection as goph has it, for what is not here. Its Run
// and Command do not quote, and its calls are bounded by no context.
func (c *Conn) Goph() *goph.Client { return &goph.Client{Client: c.client} }

// keepalive asks the other side whether it is there, as
// ClientAliveInterval does, and ends the connection when nothing is heard:
// neither the answer nor any other byte, since a slow link may keep an answer
// waiting behind much data.
func (c *Conn) keepalive() {
	tick := time.NewTicker(c.options.KeepaliveInterval)
	defer tick.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-tick.C:
		}
		answered := make(chan struct{})
		lives := c.spawn(func() { // it may block for as long as the connection lives
			defer close(answered)
			_, _, _ = c.client.SendRequest("keepalive@openssh.com", true, nil)
		})
		if !lives || !c.await(answered) {
			return
		}
	}
}

// await waits until a question was answered. It reports whether the
// connection lives on.
func (c *Conn) await(answered <-chan struct{}) bool {
	limit := c.options.KeepaliveTimeout
	since := time.Now()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case <-c.done:
			return false
		case <-answered:
			return true
		case <-timer.C:
		}
		if at := c.dialer.base.lastHeard(); at.After(since) {
			since = at
			timer.Reset(max(time.Until(at.Add(limit)), time.Millisecond))
			continue
		}
		c.fail(ops.Errorf(ops.CodeTimeout, "the connection to %s was lost: no answer for %v", c.name, limit).
			WithHint("see whether the machine is on and reachable"))
		return false
	}
}

// bounded runs open, which may block for as long as the connection lives, and
// returns its result unless ctx ends before: then a late result is dropped.
func bounded[T any](ctx context.Context, c *Conn, doing string, open func() (T, error), drop func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if ctx.Err() != nil {
		return none, errContext(ctx, doing, c.name)
	}
	ready := make(chan result)
	lives := c.spawn(func() {
		v, err := open()
		select {
		case ready <- result{v, err}:
		case <-ctx.Done():
			if err == nil {
				drop(v)
			}
		}
	})
	if !lives {
		return none, c.Err()
	}
	select {
	case r := <-ready:
		if r.err != nil && c.Err() != nil {
			return none, c.Err()
		}
		return r.value, r.err
	case <-ctx.Done():
		return none, errContext(ctx, doing, c.name)
	}
}

// liveConn notes when something was last heard.
type liveConn struct {
	net.Conn
	at atomic.Int64 // Unix nanoseconds
}

func (l *liveConn) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if n > 0 {
		l.heard()
	}
	return n, err
}

func (l *liveConn) heard() { l.at.Store(time.Now().UnixNano()) }

func (l *liveConn) lastHeard() time.Time { return time.Unix(0, l.at.Load()) }
