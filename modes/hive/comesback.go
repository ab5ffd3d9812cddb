package hive

import (
	"context"
	"slices"
	"time"

	"rbee.dev/rbee/inference/fit"
	"rbee.dev/rbee/ops"
)

const (
	// comesBackWithin bounds how long the memory of a worker that has ended may take
	// to be free: a card's driver takes it back when it comes to that.
	comesBackWithin = 3 * time.Second
	// comesBackLook is how often it is looked at, since nothing tells of it.
	comesBackLook = 50 * time.Millisecond
	// comesBackSoon is how long that is not worth a word.
	comesBackSoon = 500 * time.Millisecond
)

// unclaimed is what is free in the spot by the machine's own count, in bytes, and what
// a worker gives back to it that is gone, if one is.
func (h *Hive) unclaimed(ctx context.Context, s spot, gone *member) (bytes uint64) {
	for _, pool := range s.pools {
		total, free := h.pool(ctx, pool)
		if gone != nil {
			if pools := h.machine.poolsOf(gone.tell().Device); slices.Contains(pools, pool) {
				free += h.given(gone, pool) / uint64(len(pools))
			}
		}
		bytes += min(total, free)
	}
	return bytes
}

// comeBack waits, not for long, until a worker that was unloaded has left so much free
// in the spot, or until the model fits. A little of it others may have taken.
func (h *Hive) comeBack(ctx context.Context, s spot, need fit.Need, left uint64) {
	h.machine.lookAtCards(ctx)
	ctx, cancel := context.WithTimeout(ctx, comesBackWithin)
	defer cancel()
	said := false
	for began := time.Now(); !h.fits(ctx, s, need); h.machine.lookAtCards(ctx) {
		free := h.unclaimed(ctx, s, nil)
		if free >= left-left/128 {
			return
		}
		if !said && time.Since(began) > comesBackSoon {
			said = true
			has, wants := apart(free, left)
			ops.Narrate(ctx, "memory_wait", "waiting for the memory of what was unloaded: of %s, %s are free", wants, has)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(comesBackLook):
		}
	}
}
