package modes

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"rbee.dev/rbee/modes/daemon"
)

// together is how close two signals may come and still be one: timeout(1) sends
// its own to the process and to the process's group.
const together = 300 * time.Millisecond

// signals is what becomes of the signals that ask the process to end.
type signals struct {
	arrived chan os.Signal
	cancel  context.CancelCauseFunc
	first   time.Time // when the process was asked to end

	instead time.Time // when Ctrl-C last ended something in place of the process

	mu  sync.Mutex
	end func() // ends what Ctrl-C ends in place of the process, once
}

// withSignals returns a context that the first signal ends, with the signal as
// its cause; a second one ends the process at once. Writing to a closed pipe
// becomes an error, so that a command can cancel its job first.
func withSignals() (context.Context, *signals, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	arrived := make(chan os.Signal, 2)
	signal.Notify(arrived, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	s := &signals{arrived: arrived, cancel: cancel}
	go func() { // ends by stop
		for {
			select {
			case sig := <-arrived:
				s.take(sig)
			case <-done:
				return
			}
		}
	}()
	return ctx, s, func() {
		signal.Stop(arrived)
		signal.Stop(pipes)
		close(done)
		cancel(nil)
	}
}

// alsoQuit has Ctrl-\ ask the process to end, too, in place of dumping its goroutines.
func (s *signals) alsoQuit() { signal.Notify(s.arrived, syscall.SIGQUIT) }

// take does what a signal asks for.
func (s *signals) take(sig os.Signal) {
	if sig == os.Interrupt {
		if time.Since(s.instead) < together {
			return
		}
		if end := s.swap(nil); end != nil {
			s.instead = time.Now()
			end()
			return
		}
	}
	switch {
	case s.first.IsZero():
		s.first = time.Now()
		s.cancel(daemon.Signal{Signal: sig})
	case time.Since(s.first) > together:
		os.Exit(exitCancelled)
	}
}

// OnInterrupt has the next Ctrl-C call end in place of ending the process, until
// release is called. One that comes after it, and other signals, end the process
// as ever.
func (s *signals) OnInterrupt(end func()) (release func()) {
	s.swap(end)
	return func() { s.swap(nil) }
}

// swap replaces what Ctrl-C ends and returns what that was.
func (s *signals) swap(end func()) (before func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.end = s.end, end
	return before
}
