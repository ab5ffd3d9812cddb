package access

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// entry is what is counted together: a minute of a key's use of a model.
type entry struct {
	minute     int64 // since 1970
	key, model string
}

// sums are what is counted.
type sums struct {
	requests, errors, in, out, estimated int64
	took                                 time.Duration
}

func (s *sums) add(more sums) {
	s.requests += more.requests
	s.errors += more.errors
	s.in += more.in
	s.out += more.out
	s.estimated += more.estimated
	s.took += more.took
}

// byMinute is how long use is kept by the minute; then it is by the hour.
const byMinute = 24 * time.Hour

// ledger keeps what was counted and is not in the database yet: a request costs
// an addition in memory, and the database one transaction in a while.
type ledger struct {
	mu      sync.Mutex
	pending map[entry]*sums
	folded  int64 // the hour before which the database has hours only
}

func (l *ledger) add(e entry, s sums) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == nil {
		l.pending = map[entry]*sums{}
	}
	if old := l.pending[e]; old != nil {
		old.add(s)
		return
	}
	l.pending[e] = &s
}

// uncounted is of how many requests what was used is pending.
func (l *ledger) uncounted() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.pending {
		n += s.requests
	}
	return n
}

// write puts what is pending into the database, and makes hours of minutes that
// are old. What cannot be written stays.
func (l *ledger) write(ctx context.Context, db *sql.DB, now time.Time) error {
	old := now.Add(-byMinute).Unix() / 3600
	l.mu.Lock()
	pending, fold := l.pending, old > l.folded
	l.pending = nil
	l.mu.Unlock()
	if len(pending) > 0 {
		if err := atOnce(ctx, db, func(tx *sql.Tx) error { return insert(ctx, tx, pending) }); err != nil {
			for e, s := range pending {
				l.add(e, *s)
			}
			return fmt.Errorf("write down what was used: %w", err)
		}
	}
	if !fold {
		return nil
	}
	if err := atOnce(ctx, db, func(tx *sql.Tx) error { return foldMinutes(ctx, tx, old*60) }); err != nil {
		return fmt.Errorf("sum up what was used in an hour: %w", err)
	}
	l.mu.Lock()
	l.folded = old
	l.mu.Unlock()
	return nil
}

// Adding up, where there is something of the same time, key and model.
const (
	record = `INSERT INTO usage (minute, key, model, requests, errors, tokens_in, tokens_out, estimated, millis) `
	addUp  = ` ON CONFLICT (minute, key, model) DO UPDATE SET requests = requests + excluded.requests, errors = errors + excluded.errors,
		tokens_in = tokens_in + excluded.tokens_in, tokens_out = tokens_out + excluded.tokens_out,
		estimated = estimated + excluded.estimated, millis = millis + excluded.millis`
)

func insert(ctx context.Context, tx *sql.Tx, pending map[entry]*sums) error {
	for e, s := range pending {
		_, err := tx.ExecContext(ctx, record+`VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`+addUp,
			e.minute, e.key, e.model, s.requests, s.errors, s.in, s.out, s.estimated, s.took.Milliseconds())
		if err != nil {
			return err
		}
	}
	return nil
}

// foldMinutes adds the minutes before one up, each into the first of its hour.
func foldMinutes(ctx context.Context, tx *sql.Tx, before int64) error {
	_, err := tx.ExecContext(ctx, record+
		`SELECT minute / 60 * 60, key, model, sum(requests), sum(errors), sum(tokens_in), sum(tokens_out), sum(estimated), sum(millis)
		 FROM usage WHERE minute < ? AND minute % 60 <> 0 GROUP BY 1, 2, 3`+addUp, before)
	if err == nil {
		_, err = tx.ExecContext(ctx, `DELETE FROM usage WHERE minute < ? AND minute % 60 <> 0`, before)
	}
	return err
}

// atOnce does what change does to the database, or nothing of it.
func atOnce(ctx context.Context, db *sql.DB, change func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := change(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
