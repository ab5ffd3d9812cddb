package ssh

import (
	"sync"
	"time"
)

// deadline is a point in time that can be moved, with a channel to wait for
// it. The zero value never passes.
type deadline struct {
	// passed is called each time that it passes, unless nil. It must not set
	// the deadline.
	passed func()

	mu    sync.Mutex
	timer *time.Timer
	done  chan struct{} // closed once it has passed; nil until somebody asks
	over  bool
	round int // which setting a timer belongs to
}

// set moves the deadline; the zero time takes it away.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.round++
	if d.over {
		d.over, d.done = false, nil
	}
	wait := time.Until(t)
	now := !t.IsZero() && wait <= 0
	if now {
		d.pass()
	} else if !t.IsZero() {
		round := d.round
		d.timer = time.AfterFunc(wait, func() { d.fire(round) })
	}
	d.mu.Unlock()
	if now && d.passed != nil {
		d.passed()
	}
}

func (d *deadline) fire(round int) {
	d.mu.Lock()
	current := round == d.round
	if current {
		d.pass()
	}
	d.mu.Unlock()
	if current && d.passed != nil {
		d.passed()
	}
}

func (d *deadline) pass() {
	d.over = true
	if d.done == nil {
		d.done = make(chan struct{})
	}
	close(d.done)
}

// past is closed when the deadline has passed. One that is moved from the
// past into the future has a new channel.
func (d *deadline) past() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == nil {
		d.done = make(chan struct{})
	}
	return d.done
}

func (d *deadline) isPast() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}
