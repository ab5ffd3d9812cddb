package access

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// entry is what is counted together: an hour of a key's use of a model.
type entry struct {
	hour       int64 // since 1970
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

// ledger keeps what was counted and is not in the database yet: a request costs
// an addition in memory, and the database one transaction in a while.
type ledger struct {
	mu      sync.Mutex
	pending map[entry]*sums
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

// write puts what is pending into the database. What cannot be written stays.
func (l *ledger) write(ctx context.Context, db *sql.DB) error {
	l.mu.Lock()
	pending := l.pending
	l.pending = nil
	l.mu.Unlock()
	if len(pending) == 0 {
		return nil
	}
	if err := insert(ctx, db, pending); err != nil {
		for e, s := range pending {
			l.add(e, *s)
		}
		return fmt.Errorf("write down what was used: %w", err)
	}
	return nil
}

func insert(ctx context.Context, db *sql.DB, pending map[entry]*sums) (err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	for e, s := range pending {
		_, err = tx.ExecContext(ctx,
			`INSERT INTO usage (hour, key, model, requests, errors, tokens_in, tokens_out, estimated, millis)
			 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			 ON CONFLICT (hour, key, model) DO UPDATE SET requests = requests + excluded.requests, errors = errors + excluded.errors,
			 tokens_in = tokens_in + excluded.tokens_in, tokens_out = tokens_out + excluded.tokens_out,
			 estimated = estimated + excluded.estimated, millis = millis + excluded.millis`,
			e.hour, e.key, e.model, s.requests, s.errors, s.in, s.out, s.estimated, s.took.Milliseconds())
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}
