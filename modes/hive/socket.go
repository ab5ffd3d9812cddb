package hive

import (
	"context"
	"errors"
	"sync"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/transport"
)

// serveSocket serves the hive's socket, and makes it anew where somebody removes it:
// nobody would reach the hive, and no other could start. The function it returns ends
// that.
func (h *Hive) serveSocket(ctx context.Context) (stop func() error) {
	stops := []func() error{daemon.Listen(ctx, h.ln, h.jobs, h.Log)}
	watching, unwatch := context.WithCancel(context.WithoutCancel(ctx))
	var watch sync.WaitGroup
	watch.Go(func() {
		for h.socketGone(watching) {
			l, err := transport.ListenUnix(h.Home.HiveSocket())
			if err != nil { // as with the folder, which is the end in any case
				h.Log.Warn().Err(err).Msg("the socket was removed, and cannot be made anew")
				return
			}
			h.Log.Warn().Str("socket", h.Home.HiveSocket()).Msg("the socket was removed, and is made anew")
			stops = append(stops, daemon.Listen(ctx, l, h.jobs, h.Log))
		}
	})
	return func() error {
		unwatch()
		watch.Wait()
		var err error
		for _, stop := range stops {
			err = errors.Join(err, stop())
		}
		return err
	}
}

// socketGone waits until the socket is removed, or ctx ends.
func (h *Hive) socketGone(ctx context.Context) bool {
	gone, err := daemon.Removed(ctx, h.Home.HiveSocket())
	if err != nil { // the system has no more watches
		h.Log.Warn().Err(err).Msg("should the socket be removed, nobody reaches this hive")
	}
	return gone && ctx.Err() == nil
}
