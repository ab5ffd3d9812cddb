package process

import (
	"fmt"
	"time"

	"rbee.dev/rbee/ops"
)

// tellEvery is how often it is told what a start waits for.
const tellEvery = 10 * time.Second

// startup is how the start of a process gets on, as can be seen from outside.
type startup struct {
	life  *life
	child *child
	began time.Time
	told  time.Time // when it was last told what it waits for
	seen  use
	lines int       // that it had written then
	moved time.Time // when it last wrote, read or computed
	got   time.Time // when it last wrote or read
}

func newStartup(l *life, c *child) *startup {
	now := time.Now()
	return &startup{life: l, child: c, began: now, told: now, seen: useOf(c), moved: now, got: now}
}

// goesOn is told what was found of a process that is not ready. It reports
// whether it is worth to wait on: false for one that has hung. What one writes that
// answers strangely is no sign of more to come: it may be of each question.
func (s *startup) goesOn(found finding) bool {
	o, now := s.life.server.options, time.Now()
	lines, line := s.life.output.newest()
	if now.Sub(s.told) >= tellEvery {
		s.told = now
		o.Waits(s.waits(found.is, line))
	}
	if o.Stall == 0 || now.Sub(s.seen.at) < o.Stall/8 {
		return true
	}
	seen := useOf(s.child)
	switch {
	case lines != s.lines && !found.strange || seen.reads(s.seen):
		s.moved, s.got = now, now
	case seen.computes(s.seen):
		s.moved = now
	}
	s.seen, s.lines = seen, lines
	return now.Sub(s.moved) < o.Stall && now.Sub(s.got) < computingFactor*o.Stall
}

// waits says what a start waits for.
func (s *startup) waits(found, line string) string {
	text := fmt.Sprintf("%s is not ready after %s: it %s", s.life.server.options.Name, time.Since(s.began).Round(time.Second), found)
	if line != "" {
		text += "; its last line: " + Clip(stamp.ReplaceAllString(line, ""))
	}
	return text
}

// failure is the error of a process that has hung.
func (s *startup) failure(found string) error {
	o, did, since := s.life.server.options, "did nothing", s.moved
	if time.Since(s.moved) < o.Stall {
		did, since = "only computed", s.got
	}
	round := func(t time.Time) time.Duration { return time.Since(t).Round(time.Second / 10) }
	return ops.Errorf(ops.CodeUnavailable, "%w", &Death{
		Name: o.Name, Lines: s.life.output.list(),
		Why: fmt.Sprintf("was given up: not ready after %s, it %s for %s, and %s", round(s.began), did, round(since), found),
	})
}
