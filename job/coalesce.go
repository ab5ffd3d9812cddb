package job

import (
	"time"

	"rbee.dev/rbee/ops"
)

// every is how often at most the progress of one action enters the log.
const every = 100 * time.Millisecond

// coalescer thins out progress before it gets an id: of what one action reports
// within a tenth of a second only the newest is kept, and that is written before
// any other event. The zero value is ready. Its owner locks.
type coalescer struct {
	last  map[string]time.Time // when an action's progress was let through
	held  []heldProgress       // in order of arrival
	timer *time.Timer
}

type heldProgress struct {
	event  ops.ProgressEvent
	cursor *ops.Cursor
}

// hold keeps p back if the action's last progress was just now; flush is then
// called, from another goroutine, when it is due.
func (c *coalescer) hold(p ops.ProgressEvent, at *ops.Cursor, flush func()) bool {
	key := p.Actor + "/" + p.Action
	now := time.Now()
	if now.Sub(c.last[key]) >= every && len(c.held) == 0 {
		if c.last == nil {
			c.last = map[string]time.Time{}
		}
		c.last[key] = now
		return false
	}
	for i, h := range c.held {
		if h.event.Actor+"/"+h.event.Action == key {
			c.held = append(c.held[:i], c.held[i+1:]...)
			break
		}
	}
	c.held = append(c.held, heldProgress{p, at})
	if c.timer == nil {
		c.timer = time.AfterFunc(every, flush)
	}
	return true
}

// release hands what was held back to write.
func (c *coalescer) release(write func(ops.Event, *ops.Cursor)) {
	c.stop()
	for _, h := range c.held {
		c.last[h.event.Actor+"/"+h.event.Action] = time.Now()
		write(h.event, h.cursor)
	}
	c.held = nil
}

// stop ends the timer.
func (c *coalescer) stop() {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}
