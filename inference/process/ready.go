package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// How long to wait between looks at whether a process answers: longer and longer,
// and a two-hundredth of what it has taken so far at most. Output of the process
// makes the next look come at once.
const (
	lookSoon   = time.Millisecond
	lookLate   = 50 * time.Millisecond
	lookSeldom = time.Second
)

// answers returns true once the process can be used, and false when it ends
// before, or ctx does, or when it has hung, which is the error; then it is ended.
func (l *life) answers(ctx context.Context, c *child) (bool, error) {
	s := newStartup(l, c)
	var found finding
	for pause := lookSoon; ; {
		output := l.output.wrote
		if found.strange {
			output = nil // it may write of each look
		}
		wrote, goesOn := l.pause(ctx, c, pause, output)
		if !goesOn {
			return false, nil
		}
		found = l.looksReady(ctx)
		if found.ready {
			return true, nil
		}
		if ctx.Err() == nil && !s.goesOn(found) {
			why := s.failure(found.is)
			c.stop(l.server.options.Patience)
			return false, l.server.options.Explain(why)
		}
		pause = min(2*pause, max(lookLate, min(time.Since(s.began)/200, lookSeldom)))
		if wrote {
			pause = lookSoon
		}
	}
}

// pause waits for the time of the next look, or for output. It reports whether there
// was some, and false for a process that has ended or is not waited for any more.
func (l *life) pause(ctx context.Context, c *child, d time.Duration, output <-chan struct{}) (wrote, goesOn bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-output:
		wrote = true
	case <-c.done:
	case <-ctx.Done():
	}
	select {
	case <-c.done:
		return wrote, false
	default:
		return wrote, ctx.Err() == nil
	}
}

// finding is what one look at a process finds.
type finding struct {
	ready bool
	// strange says of one that is not ready that it answers, and not that it will be.
	strange bool
	// is what it does instead, as the rest of a sentence about it.
	is string
}

// looksReady asks the process once.
func (l *life) looksReady(ctx context.Context) (found finding) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if l.server.options.Listens {
		conn, err := l.dial(ctx)
		return finding{ready: err == nil && conn.Close() == nil, is: l.silent()}
	}
	for _, path := range l.server.options.Ready {
		answer, err := l.get(ctx, path)
		if dialled, ok := errors.AsType[*net.OpError](err); ok && dialled.Op == "dial" {
			return finding{is: l.silent()}
		}
		if err != nil {
			return finding{is: "listens, but does not answer " + path}
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // what it says does not matter
		_ = answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return finding{ready: true}
		}
		found = finding{strange: answer.StatusCode != http.StatusServiceUnavailable, is: fmt.Sprintf("answers %s with %s", path, answer.Status)}
		if answer.StatusCode != http.StatusNotFound {
			break
		}
	}
	return found
}

// silent is what is found of a process that does not listen.
func (l *life) silent() string { return "does not listen at " + l.at.Address }
