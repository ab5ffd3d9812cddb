package engines

import (
	"context"
	"time"

	"rbee.dev/rbee/ops"
)

// take waits until nobody else installs, and meanwhile tells how far that one is. Who
// wants the same engine finds it then. The function that it returns ends the turn.
func (s *Store) take(ctx context.Context, id string) (end func(), err error) {
	end = func() { s.turn <- struct{}{} }
	select { // one at a time
	case <-s.turn:
		return end, nil
	default:
	}
	s.mu.Lock()
	other := s.arriving
	s.mu.Unlock()
	switch other {
	case id:
		ops.Narrate(ctx, "engine_wait", "%s is being installed already: waiting for it", id)
	case "": // it begins just now, or is at its end
		ops.Narrate(ctx, "engine_wait", "an engine is being installed: waiting for it")
	default:
		ops.Narrate(ctx, "engine_wait", "another engine, %s, is being installed: waiting for it", other)
	}
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	told := int64(0)
	for {
		select {
		case <-s.turn:
			s.tell(ctx, &told)
			return end, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
			s.tell(ctx, &told)
		}
	}
}

// tell tells how far the download is that somebody else does, unless that was told.
func (s *Store) tell(ctx context.Context, told *int64) {
	if have := s.have.Load(); have != *told {
		*told = have
		ops.Progress(ctx, "engine_download", have, max(0, s.total.Load()), "bytes")
	}
}
