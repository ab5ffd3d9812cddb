package queen

import (
	"context"
	"fmt"
	"time"

	"rbee.dev/rbee/ops"
)

// QueenDrain has the queen take no new work.
func (q *Queen) QueenDrain(ctx context.Context, _ ops.QueenDrain) (ops.DrainState, error) {
	return q.drain(ctx, "", true)
}

// QueenResume has her take work again.
func (q *Queen) QueenResume(ctx context.Context, _ ops.QueenResume) (ops.DrainState, error) {
	return q.drain(ctx, "", false)
}

// HiveDrain keeps new work away from a hive.
func (q *Queen) HiveDrain(ctx context.Context, o ops.HiveDrain) (ops.DrainState, error) {
	return q.drainHive(ctx, o.HiveID, true)
}

// HiveResume gives a hive work again.
func (q *Queen) HiveResume(ctx context.Context, o ops.HiveResume) (ops.DrainState, error) {
	return q.drainHive(ctx, o.HiveID, false)
}

func (q *Queen) drainHive(ctx context.Context, name string, drained bool) (ops.DrainState, error) {
	id, err := q.hive(name)
	if err != nil {
		return ops.DrainState{}, err
	}
	return q.drain(ctx, id, drained)
}

// drain remembers that hive id ("" is the queen herself) is drained, or is not,
// and has it be so.
func (q *Queen) drain(ctx context.Context, id string, drained bool) (ops.DrainState, error) {
	if err := q.store.SaveDrained(ctx, id, drained); err != nil {
		return ops.DrainState{}, err
	}
	if id == "" {
		q.schedule.Drain(drained)
	} else {
		q.schedule.DrainHive(id, drained)
	}
	state := ops.DrainState{HiveID: id, Drained: drained, Running: q.schedule.RunningOn(id)}
	if id != "" {
		state.Waiting = q.schedule.WaitingOn(id)
		return state, nil
	}
	for _, n := range q.schedule.Waiting() {
		state.Waiting += n
	}
	return state, nil
}

// remindDrained has drained what was when the queen ended.
func (q *Queen) remindDrained(ctx context.Context) error {
	list, err := q.store.Drained(ctx)
	for _, id := range list {
		if id == "" {
			q.schedule.Drain(true)
		} else {
			q.schedule.DrainHive(id, true)
		}
	}
	return err
}

// refuseDrained is why a hive that somebody names gets no new work, or nil.
func (q *Queen) refuseDrained(id string) error {
	switch {
	case q.schedule.IsDrained():
		return ops.Errorf(ops.CodeUnavailable, "the queen is drained and takes no new work").
			WithHint("`rbee queen resume` has it take work again")
	case q.schedule.HiveDrained(id):
		return ops.Errorf(ops.CodeUnavailable, "the hive %s is drained and gets no new work", id).
			WithHint("`rbee hive resume %s` gives it work again", id)
	}
	return nil
}

// SaveDrained remembers whether hive id, "" for the queen herself, is drained.
func (s *store) SaveDrained(ctx context.Context, id string, drained bool) error {
	text, args := "DELETE FROM drained WHERE hive = ?", []any{id}
	if drained {
		text, args = "INSERT INTO drained (hive, since) VALUES (?, ?) ON CONFLICT DO NOTHING", []any{id, time.Now().UnixMilli()}
	}
	if _, err := s.db.ExecContext(ctx, text, args...); err != nil {
		return fmt.Errorf("remember what is drained: %w", err)
	}
	return nil
}

// Drained lists what is drained, "" for the queen herself.
func (s *store) Drained(ctx context.Context) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT hive FROM drained")
	if err != nil {
		return nil, fmt.Errorf("read what is drained: %w", err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("read what is drained: %w", err)
		}
		list = append(list, id)
	}
	return list, rows.Err()
}
