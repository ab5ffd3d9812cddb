package process

import (
	"context"
	"errors"
	"syscall"
	"time"

	"rbee.dev/rbee/ops"
)

// deafAfter is for how long a program that runs may refuse connections before it counts
// as deaf, or [Options.Silence] where that is less. One that listens anew of its own
// accord has so long for it.
const deafAfter = 5 * time.Second

// refused reports whether nothing listens where a connection was tried.
func refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}

// deaf returns when the process takes no connections any more, with an error that says
// so, or nil when ctx ends. It looks once somebody was refused.
func (l *life) deaf(ctx context.Context) error {
	for {
		select {
		case <-l.refused:
		case <-ctx.Done():
			return nil
		}
		if err := l.staysDeaf(ctx); err != nil {
			return err
		}
	}
}

// staysDeaf returns nil once a connection is taken again, and the error when none is for
// too long. An answer that still comes is waited for.
func (l *life) staysDeaf(ctx context.Context) error {
	within := deafAfter
	if o := l.server.options; o.Silence > 0 {
		within = min(within, o.Silence)
	}
	for began := time.Now(); ; {
		conn, err := l.dial(ctx)
		if err == nil {
			_ = conn.Close() // nothing was written to it
			return nil
		}
		if !refused(err) {
			return nil // that is told to whoever asks
		}
		silent, waiting := l.watch.silence()
		if time.Since(began) >= within && (waiting == 0 || silent >= within) {
			return ops.Errorf(ops.CodeUnavailable, "%s took no connections any more (%w), so that it was ended", l.server.options.Name, err)
		}
		if !sleep(ctx, within/50) {
			return nil
		}
	}
}
