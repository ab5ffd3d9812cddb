package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/relay"
)

// parts are the other machines that a model is divided over, as the worker has
// them: a loopback port for each, which leads through the queen's session to the
// part. Only this account's processes get through; the engine, which speaks TCP
// only, is the one that should.
type parts struct {
	hives []string
	ports []net.Listener
	log   zerolog.Logger
	work  sync.WaitGroup // all goroutines but those of the engine
	// patience is how long a start of the engine, or a connection of it, waits for
	// its parts.
	patience time.Duration
	reached  func() // is called each time that all were; nil is nobody

	mu      sync.Mutex
	session *relay.Session
	came    chan struct{} // closed when there is another session
	start   *start        // of the engine, the last one
	closed  bool
}

// start is one of the engine's, with the connections that it has made.
type start struct {
	broke chan struct{} // closed when a part was lost
	lost  []string      // hives whose part broke a connection off
}

func newStart() *start { return &start{broke: make(chan struct{})} }

// reachWithin is the patience of a worker.
const reachWithin = 20 * time.Second

// newParts opens the ports.
func newParts(ctx context.Context, hives []string, log zerolog.Logger) (*parts, error) {
	p := &parts{hives: hives, log: log, patience: reachWithin, came: make(chan struct{}), start: newStart()}
	for i := range hives {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open a port for a part: %w", err), p.Close())
		}
		p.ports = append(p.ports, l)
		p.work.Go(func() { p.serve(i, l) })
	}
	return p, nil
}

// Close closes the ports and all that goes through them.
func (p *parts) Close() error {
	var errs []error
	for _, l := range p.ports {
		errs = append(errs, l.Close())
	}
	p.mu.Lock()
	p.closed = true
	if p.session != nil {
		_ = p.session.Close() // the queen may have closed it
	}
	p.mu.Unlock()
	p.work.Wait()
	return errors.Join(errs...)
}

// ServeHTTP is where the queen begins her session, in place of an earlier one:
// that of a queen who has ended, or of a connection that was cut.
func (p *parts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := relay.Accept(w, r)
	if err != nil {
		return
	}
	s, err := relay.NewSession(conn)
	if err != nil {
		p.log.Warn().Err(err).Msg("the queen's session does not begin")
		return
	}
	p.mu.Lock()
	old := p.session
	p.session = s
	close(p.came)
	p.came = make(chan struct{})
	if p.closed {
		_ = s.Close()
	}
	p.mu.Unlock()
	if old != nil {
		_ = old.Close() // which may have ended
	}
	p.log.Info().Strs("hives", p.hives).Msg("the queen leads to the parts")
	<-s.Done()
	_ = s.Close() // it has ended
}

// open connects with a part, once there is a session.
func (p *parts) open(ctx context.Context, part int) (relay.Conn, error) {
	for {
		p.mu.Lock()
		s, came := p.session, p.came
		p.mu.Unlock()
		if s != nil {
			select {
			case <-s.Done():
			default:
				return s.Open(ctx, part)
			}
		}
		select {
		case <-came:
		case <-ctx.Done():
			return nil, ops.Errorf(ops.CodeUnavailable, "no queen has come to lead there")
		}
	}
}

// Reach returns the ports, once every part was reached.
func (p *parts) Reach(ctx context.Context) ([]string, error) {
	bounded, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	p.mu.Lock()
	p.start = newStart()
	p.mu.Unlock()
	addresses := make([]string, len(p.ports))
	for i, l := range p.ports {
		if err := p.try(bounded, i); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, ops.Errorf(ops.CodeUnavailable, "the part on hive %s cannot be reached: %w", p.hives[i], err)
		}
		addresses[i] = l.Addr().String()
	}
	if p.reached != nil {
		p.reached()
	}
	return addresses, nil
}

// try connects with a part and hangs up, again and again until ctx ends: it may
// be being started, or its machine be coming back.
func (p *parts) try(ctx context.Context, part int) error {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		conn, err := p.open(ctx, part)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// Explain says that a part was lost, if one was.
func (p *parts) Explain(why error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.start.lost) == 0 {
		return why
	}
	return ops.Errorf(ops.CodeUnavailable, "the part of the model on hive %s was lost: %w", p.start.lost[0], why)
}

// Lost waits until a part is lost, or for the end of ctx.
func (p *parts) Lost(ctx context.Context) bool {
	p.mu.Lock()
	broke := p.start.broke
	p.mu.Unlock()
	select {
	case <-broke:
		return true
	case <-ctx.Done():
		return false
	}
}

// lose notes that a part broke a connection off which a start of the engine had.
// The engine hears of it after this.
func (p *parts) lose(s *start, part int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.lost = append(s.lost, p.hives[part]); len(s.lost) == 1 {
		close(s.broke)
	}
	p.log.Warn().Str("hive", p.hives[part]).Msg("the connection with a part broke off")
}

// serve leads the connections of a port to its part.
func (p *parts) serve(part int, l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // closed
		}
		if err := relay.OwnPeer(conn); err != nil {
			p.log.Warn().Err(err).Stringer("from", conn.RemoteAddr()).Msg("a connection to a part was refused")
			_ = conn.Close()
			continue
		}
		p.work.Go(func() { p.lead(part, conn.(*net.TCPConn)) })
	}
}

// lead leads one connection to its part.
func (p *parts) lead(part int, near *net.TCPConn) {
	p.mu.Lock()
	s := p.start
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), p.patience)
	far, err := p.open(ctx, part)
	cancel()
	if err != nil {
		p.log.Warn().Err(err).Str("hive", p.hives[part]).Msg("a part cannot be reached")
		p.lose(s, part)
		_ = near.Close()
		return
	}
	relay.Join(near, far, func() { p.lose(s, part) })
}
