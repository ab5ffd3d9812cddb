package queen

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

func newRetry() *backoff.ExponentialBackOff {
	retry := &backoff.ExponentialBackOff{
		InitialInterval: 50 * time.Millisecond, MaxInterval: 5 * time.Second, Multiplier: 2, RandomizationFactor: 0.3,
	}
	retry.Reset()
	return retry
}

// watchLocal holds the local hive's state stream for as long as the queen runs.
// A hive that was never needed is not started by it; one that goes away without
// having been asked to is started again, and so is one whose workers were left to
// run, as by a restart.
func (q *Queen) watchLocal(ctx context.Context) {
	retry := newRetry()
	if daemon.HasWorkers(q.Home) {
		if err := q.local.ensure(ctx); err != nil && ctx.Err() == nil {
			q.Log.Error().Err(err).Msg("the hive of the workers that run does not come back")
		}
	}
	for ctx.Err() == nil {
		heard, err := q.listenLocal(ctx)
		if ctx.Err() != nil {
			return
		}
		if heard {
			retry.Reset()
		}
		if q.missed(heard, err) {
			q.Log.Warn().Err(err).Msg("the hive went away; starting it again")
			if err := q.local.ensure(ctx); err != nil {
				q.Log.Error().Err(err).Msg("the hive does not come back")
				q.books.lost(ops.LocalHive, whyDown(err))
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-q.local.came:
			retry.Reset()
		case <-time.After(retry.NextBackOff()):
		}
	}
}

// missed notes in the books that the hive of this machine is down, and reports whether
// it is missed: it was up, and nobody stopped it. One that was not heard does not run,
// and why is known, unless it hangs.
func (q *Queen) missed(heard bool, err error) bool {
	if !heard && !errors.Is(err, transport.ErrHung) {
		return q.books.absent(ops.LocalHive) && !q.local.isStopped()
	}
	was := q.books.lost(ops.LocalHive, whyDown(err))
	if errors.Is(err, transport.ErrHung) || q.local.isStopped() {
		q.schedule.Stays(ops.LocalHive)
	}
	return was && !q.local.isStopped()
}

// whyDown is err as the reason why a hive is down, without its name, and with what to
// do about one that hangs or does not start.
func whyDown(err error) string {
	switch e := ops.AsError(err); {
	case e == nil:
		return ""
	case errors.Is(err, transport.ErrHung):
		return transport.ErrHung.Error() + ": " + e.Hint
	case errors.Is(err, errEnded):
		return e.Message + ": " + e.Hint
	default:
		return strings.TrimPrefix(e.Message, "the hive "+ops.LocalHive+" is ")
	}
}

// listenLocal follows the state of the local hive, if one runs.
func (q *Queen) listenLocal(ctx context.Context) (heard bool, err error) {
	if _, alive, err := daemon.Running(q.Home.PIDFile("hive")); err != nil || !alive {
		return false, err
	}
	return q.listen(ctx, ops.LocalHive, q.local.direct())
}

// watchRemote holds the state stream of a hive behind SSH. One that is down is
// shown as down, with the reason; one whose machine is there without it, though
// nobody stopped it, is started.
func (q *Queen) watchRemote(ctx context.Context, r *remoteHive) {
	retry := newRetry()
	for ctx.Err() == nil {
		if !q.waitForLink(ctx, r) {
			return // the hive is given up
		}
		heard, err := q.listen(ctx, r.id, r.direct())
		if ctx.Err() != nil {
			return
		}
		if heard {
			retry.Reset()
		}
		if q.books.lost(r.id, r.why(err)) {
			q.Log.Warn().Err(err).Str("hive", r.id).Msg("the hive is lost")
		}
		q.staysStopped(r)
		if err := r.revive(ctx); err != nil {
			q.books.lost(r.id, err.Error())
		}
		select {
		case <-ctx.Done():
		case <-r.poke:
		case <-time.After(retry.NextBackOff()):
		}
	}
}

// waitForLink returns when the machine is reached, and meanwhile tells the books
// why it is not. It reports false when ctx has ended.
func (q *Queen) waitForLink(ctx context.Context, r *remoteHive) bool {
	for {
		state, changed := r.link.State()
		if state.Up {
			return true
		}
		if state.Err != nil {
			q.books.lost(r.id, r.why(nil))
			q.staysStopped(r)
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// staysStopped has nobody wait for a hive that somebody has stopped.
func (q *Queen) staysStopped(r *remoteHive) {
	if r.now().Stopped {
		q.schedule.Stays(r.id)
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// listen follows the state of hive id until the connection breaks, and reports
// whether it heard anything. Meanwhile the hive gets what it wants of others.
func (q *Queen) listen(ctx context.Context, id string, c *transport.Client) (heard bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel()
	for text, err := range c.State(ctx) {
		if err != nil {
			return heard, err
		}
		var snapshot ops.HiveSnapshot
		if err := json.Unmarshal(text, &snapshot); err != nil {
			return heard, err
		}
		if !heard {
			serving.Go(func() { q.serveWants(ctx, id, c) })
		}
		heard = true
		q.note(id, snapshot)
	}
	return heard, io.EOF
}

// note takes over what hive id says of itself.
func (q *Queen) note(id string, snapshot ops.HiveSnapshot) {
	q.books.heard(id, snapshot, time.Now().UTC())
	q.gateway.Hear(id, snapshot.Workers)
	q.splits.look()
}
