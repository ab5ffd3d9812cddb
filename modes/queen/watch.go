package queen

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/cenkalti/backoff/v5"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

// watch holds the local hive's state stream for as long as the queen runs. A
// hive that was never needed is not started by it; one that goes away without
// having been asked to is started again.
func (q *Queen) watch(ctx context.Context) {
	retry := &backoff.ExponentialBackOff{
		InitialInterval: 50 * time.Millisecond, MaxInterval: 5 * time.Second, Multiplier: 2, RandomizationFactor: 0.3,
	}
	retry.Reset()
	for ctx.Err() == nil {
		heard, err := q.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		if heard {
			retry.Reset()
		}
		if q.books.lost(ops.LocalHive, downReason(heard, err)) {
			q.Log.Warn().Err(err).Msg("the hive went away; starting it again")
			if err := q.local.ensure(ctx); err != nil {
				q.Log.Error().Err(err).Msg("the hive does not come back")
				q.books.lost(ops.LocalHive, err.Error())
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retry.NextBackOff()):
		}
	}
}

func downReason(heard bool, err error) string {
	if !heard || err == nil {
		return "" // it was not running: nothing went wrong
	}
	return err.Error()
}

// listen follows the state of the hive that runs until the connection breaks,
// and reports whether it heard anything.
func (q *Queen) listen(ctx context.Context) (heard bool, err error) {
	if _, alive, err := daemon.Running(q.Home.PIDFile("hive")); err != nil || !alive {
		return false, err
	}
	for text, err := range q.local.raw.State(ctx) {
		if err != nil {
			return heard, err
		}
		var snapshot ops.HiveSnapshot
		if err := json.Unmarshal(text, &snapshot); err != nil {
			return heard, err
		}
		heard = true
		q.note(ctx, snapshot)
	}
	return heard, io.EOF
}

// note takes over what the local hive says of itself.
func (q *Queen) note(ctx context.Context, snapshot ops.HiveSnapshot) {
	now := time.Now().UTC()
	q.books.heard(ops.LocalHive, snapshot, now)
	if err := q.store.SaveHive(ctx, snapshot, now); err != nil && !errors.Is(err, context.Canceled) {
		q.Log.Warn().Err(err).Msg("what the hive says is not remembered")
	}
}
