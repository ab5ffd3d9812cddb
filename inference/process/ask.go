package process

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"syscall"
	"time"
)

// ErrEndless is of a program that printed more than any answer has.
var ErrEndless = errors.New("it prints without end")

// most is how much a program may print that is asked something. The longest answer
// there is, nvidia-smi's of all that it knows of sixteen cards, has half of it.
const most = 8 << 20

// goneWithin is how long the end of a program may take that is not waited for any more:
// one that waits for a driver that hangs cannot be ended.
const goneWithin = time.Second

// Ask runs a program that prints something and ends, and returns what it printed, also
// where it fails, which is an [exec.ExitError]. One that runs on when ctx ends, or prints
// without end ([ErrEndless]), is ended, and what it has started with it.
func Ask(ctx context.Context, l Launch) ([]byte, error) {
	out := &answer{full: make(chan struct{})}
	c, err := start(l, out)
	if err != nil {
		return nil, err
	}
	select {
	case <-c.done:
		err = c.failure
	case <-out.full:
		c.kill(goneWithin)
	case <-ctx.Done():
		err = context.Cause(ctx)
		c.kill(goneWithin)
	}
	text, whole := out.text()
	if !whole {
		return nil, ErrEndless
	}
	return text, err
}

// kill ends the process and its group, and waits for that no longer than within.
func (c *child) kill(within time.Duration) {
	c.signal(syscall.SIGKILL)
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
	}
}

// answer keeps what is written to it, up to [most].
type answer struct {
	full chan struct{} // closed at what is beyond that

	mu   sync.Mutex
	kept bytes.Buffer
}

// Write keeps p, or refuses it, at which its writer stops.
func (a *answer) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kept.Len()+len(p) > most {
		close(a.full)
		return 0, ErrEndless
	}
	return a.kept.Write(p)
}

// text is what was kept, and whether that is all.
func (a *answer) text() (text []byte, whole bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.full:
		return nil, false
	default:
		return bytes.Clone(a.kept.Bytes()), true
	}
}
