package hive

import (
	"context"
	"slices"
	"time"
)

// A driver that hangs is asked again after lookAgain, and after twice as long each
// time that it still does, up to lookAgainMost: each time may leave a process that
// nothing ends.
const (
	lookAgain     = 10 * time.Second
	lookAgainMost = 5 * time.Minute
)

// looking looks at the devices, and again where a driver hung, at whichever look,
// until it answers: most do so in the end. It calls changed after each look, and
// returns once ctx ends.
func (m *machine) looking(ctx context.Context, changed func()) {
	pause := lookAgain
	for {
		m.look(ctx)
		changed()
		if !m.hangs() {
			pause = lookAgain
		}
		select {
		case <-m.hung:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, lookAgainMost)
	}
}

// hangs reports whether a driver hung when it was asked last.
func (m *machine) hangs() bool { return slices.Contains(m.wrong(), noAnswer) }
