package queen

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"rbee.dev/rbee/ops"
)

const (
	// keptExplanations is how many requests an explanation is kept of, the newest:
	// more than there are jobs that are remembered.
	keptExplanations = 2000
	// explainedAtOnce is how many are written down at most each time, the newest. A
	// queen that has a thousand requests a second has no time for all of them, until it
	// is quiet.
	explainedAtOnce = 500
)

// SaveExplanations remembers what there is to tell of requests, and forgets the
// oldest of those beyond [keptExplanations].
func (s *store) SaveExplanations(ctx context.Context, list []ops.Explanation) error {
	if len(list) == 0 {
		return nil
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("save explanations: %w", err)
	}
	if err := saveExplanations(ctx, tx, list); err != nil {
		return errors.Join(fmt.Errorf("save explanations: %w", err), tx.Rollback())
	}
	return tx.Commit()
}

func saveExplanations(ctx context.Context, tx *sql.Tx, list []ops.Explanation) error {
	insert, err := tx.PrepareContext(ctx, "INSERT OR REPLACE INTO explanations (job, came, text) VALUES (?, ?, ?)")
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, x := range list {
		text, err := json.Marshal(x)
		if err != nil {
			return err
		}
		if _, err := insert.ExecContext(ctx, x.JobID, x.At.UnixMilli(), string(text)); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx,
		"DELETE FROM explanations WHERE job IN (SELECT job FROM explanations ORDER BY came DESC, job LIMIT -1 OFFSET ?)", keptExplanations)
	return err
}

// Explanation returns what is remembered of a request, if anything is.
func (s *store) Explanation(ctx context.Context, job string) (x ops.Explanation, ok bool, err error) {
	var text string
	err = s.db.QueryRowContext(ctx, "SELECT text FROM explanations WHERE job = ?", job).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return x, false, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &x)
	}
	if err != nil {
		return x, false, fmt.Errorf("read why %s went where it did: %w", job, err)
	}
	return x, true, nil
}
