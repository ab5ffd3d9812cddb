package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
)

// Launch is how one process is started, and how it is reached.
type Launch struct {
	// Path is the program's file, and Args are its arguments.
	Path string
	Args []string
	// Env is its environment; nil is this process's.
	Env []string
	// OutputOnly leaves out what it prints as errors.
	OutputOnly bool
	// Network is unix or tcp, and Address is where it will listen.
	Network, Address string
	// Key is sent to it as a bearer token; "" sends what clients send.
	Key string
}

// Options say what a [Server] runs, and how.
type Options struct {
	// Name is what errors call the program.
	Name string
	// Prepare is asked before each start, which it may put off until ctx ends.
	Prepare func(ctx context.Context) (Launch, error)
	// Ready are paths of which the first that the program knows must answer
	// with 200 once it can be used; none means /health.
	Ready []string
	// Listens says that the program speaks no HTTP: it can be used once it takes
	// connections, and is reached by [Server.Dial].
	Listens bool
	// Explain is given why the program ended by itself, and returns what is said
	// of it; nil says just that.
	Explain func(why error) error
	// Answer is given why the program ended that is started again, and returns what
	// requests are told of it: whose program it was. nil is just that.
	Answer func(why error) error
	// File is what the program reads, or "". Where it is gone when the program ends,
	// that is not started again, and Changed is told so by a not_found.
	File string
	// Broken returns true as soon as the program cannot go on, which it does not
	// notice by itself while it has nothing to do, and false when ctx ends. It is
	// asked once the program can be used, which is then ended and started again.
	// nil means never.
	Broken func(ctx context.Context) bool
	// Pause is how long to wait before a start, when failures lives in a row
	// were short; nil means [Backoff].
	Pause func(failures int) time.Duration
	// Changed is told each time why the program ended by itself, after it could
	// be used or on a later start, and nil once it can be used again. It must not
	// wait, and may be nil.
	Changed func(why error)
	// Patience is how long the program may take to end after SIGTERM; 0 means
	// a second and a half.
	Patience time.Duration
	// Silence is how long nothing may come from the program while requests wait
	// for it, before it counts as hung, is ended and started again; six times as
	// long where it computes. 0 means for ever.
	Silence time.Duration
	// Stall is how long the program may do nothing at all before it can be used:
	// write, read or compute. Then it counts as hung and is ended; six times as
	// long where it computes, but no more than that. 0 means for ever.
	Stall time.Duration
	// Waits is told now and then what a start that takes long waits for. It must
	// not wait itself, and may be nil.
	Waits func(what string)
	// Progress is a path of which the program's answer changes while it works on
	// something, or "".
	Progress string
}

// steadyAfter is how long a process must have been ready for its end not to
// count as a failure to start.
const steadyAfter = 10 * time.Second

// Backoff is none before the first start again, then half a second, doubled up
// to half a minute.
func Backoff(failures int) time.Duration {
	const first, last = 500 * time.Millisecond, 30 * time.Second
	if failures < 2 {
		return 0
	}
	return min(first<<min(failures-2, 10), last)
}

// errClosed is what requests get that come after Close.
var errClosed = ops.Errorf(ops.CodeUnavailable, "the engine is stopping").
	WithHint("ask again, for another worker; `rbee worker list` shows which there are")

// Server runs a program and starts it again when it dies. One goroutine, in
// own, has the process; requests look at the life it leads now.
type Server struct {
	options Options
	buffers buffers
	end     context.CancelFunc
	done    chan struct{} // closed once there is no process any more

	mu  sync.Mutex
	now *life
}

// Start starts the program and returns when it can be used, or with the reason
// why it never could. The context is for the start alone.
func Start(ctx context.Context, o Options) (*Server, error) {
	if len(o.Ready) == 0 {
		o.Ready = []string{"/health"}
	}
	if o.Pause == nil {
		o.Pause = Backoff
	}
	if o.Changed == nil {
		o.Changed = func(error) {}
	}
	if o.Waits == nil {
		o.Waits = func(string) {}
	}
	if o.Explain == nil {
		o.Explain = func(why error) error { return why }
	}
	if o.Answer == nil {
		o.Answer = func(why error) error { return why }
	}
	if o.Patience == 0 {
		o.Patience = 1500 * time.Millisecond
	}
	s := &Server{options: o, done: make(chan struct{})}
	first := s.newLife()
	s.now = first
	var running context.Context
	running, s.end = context.WithCancel(context.WithoutCancel(ctx))
	go func() { // Close waits for it
		defer close(s.done)
		s.own(running, first)
	}()
	select {
	case <-first.settled:
		if first.failure == nil {
			return s, nil
		}
		return nil, errors.Join(first.failure, s.Close())
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), s.Close())
	}
}

// Close ends the program and waits until it is gone.
func (s *Server) Close() error {
	s.end()
	<-s.done
	return nil
}

// PID is the process's id now, or 0 while there is none.
func (s *Server) PID() int {
	l := s.current()
	select {
	case <-l.settled:
		return l.pid
	default:
		return 0
	}
}

// own leads one life after the other until ctx ends or the first one fails.
func (s *Server) own(ctx context.Context, l *life) {
	for first, failures := true, 0; ; first = false {
		lasted, err := l.lead(ctx)
		switch {
		case ctx.Err() != nil:
			s.replace(l, s.stillborn(errClosed), err)
			return
		case first && lasted == 0: // it never could be used
			l.finish(err)
			return
		case lasted >= steadyAfter:
			failures = 0
		}
		if gone := s.gone(err); gone != nil {
			s.options.Changed(gone)
			gone = s.options.Answer(gone)
			s.replace(l, s.stillborn(gone), gone)
			return
		}
		failures++
		pause := s.options.Pause(failures)
		err = startedAgain(err, pause)
		s.options.Changed(err)
		err = s.options.Answer(err)
		next := s.newLife()
		next.again = true
		if pause > 0 {
			s.replace(l, s.stillborn(err), err)
			l = s.current()
			if !sleep(ctx, pause) {
				s.replace(l, s.stillborn(errClosed), err)
				return
			}
		}
		s.replace(l, next, err)
		l = next
	}
}

// gone is why a program that has ended for some reason cannot be started again,
// or nil.
func (s *Server) gone(why error) error {
	if s.options.File == "" {
		return nil
	}
	if _, err := os.Stat(s.options.File); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	how := ""
	if d, ok := errors.AsType[*Death](why); ok && d.Status != "" {
		how = " (" + d.Status + ")"
	}
	return ops.Errorf(ops.CodeNotFound, "%s ended%s and is not started again: its model's file is gone: %s", s.options.Name, how, s.options.File)
}

// startedAgain says of why the program ended what happens next.
func startedAgain(why error, pause time.Duration) error {
	next := "it is started again"
	if pause > 0 {
		next += " in " + pause.String()
	}
	if d, ok := errors.AsType[*Death](why); ok && len(d.telling()) > 0 {
		return fmt.Errorf("%w (%s)", why, next) // what it said ends before that
	}
	return fmt.Errorf("%w; %s", why, next)
}

// replace makes next what requests see, and then says of l why it ended: who
// waits for l's end finds the next one.
func (s *Server) replace(l, next *life, why error) {
	s.mu.Lock()
	s.now = next
	s.mu.Unlock()
	l.finish(why)
}

func (s *Server) current() *life {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// await returns the life that a request can be sent to, once there is one.
func (s *Server) await(ctx context.Context) (*life, error) {
	for {
		l := s.current()
		select {
		case <-l.settled:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if l.failure != nil {
			return nil, l.failure
		}
		select {
		case <-l.ended: // there is another
		default:
			return l, nil
		}
	}
}

// ServeHTTP passes the request on to the program. While that is being started
// again it waits; while it cannot be, the answer is why.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l, err := s.await(r.Context())
	if err != nil {
		Refuse(w, err)
		return
	}
	l.serve(w, r)
}

// Get asks the program itself, beside what clients ask of it. The caller closes
// the answer's body.
func (s *Server) Get(ctx context.Context, path string) (*http.Response, error) {
	l, err := s.await(ctx)
	if err != nil {
		return nil, err
	}
	return l.get(ctx, path)
}

// Dial connects with the program itself.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) {
	l, err := s.await(ctx)
	if err != nil {
		return nil, err
	}
	return l.dial(ctx)
}

// sleep reports whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
