package queen

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"modernc.org/sqlite" // also the database driver "sqlite", without cgo
	sqlite3 "modernc.org/sqlite/lib"

	"rbee.dev/rbee/ops"
)

//go:embed migrations/*.sql
var migrations embed.FS

// store is the queen's database: the hives it knows and what each said last, so
// that lists answer at once, also for a hive that is down.
type store struct {
	db *sql.DB
}

// openStore opens the database at path and brings its tables up to date.
func openStore(ctx context.Context, path string) (*store, error) {
	// The cache of 256 KiB, in place of 2 MB, holds all that is asked for often.
	dsn := (&url.URL{Scheme: "file", Path: path, RawQuery: "_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)&_pragma=cache_size(-256)&_txlock=immediate"}).String()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open the queen's database: %w", err)
	}
	db.SetMaxOpenConns(1) // SQLite has one writer; one connection makes the others wait here
	if err := migrate(ctx, db); err != nil {
		return nil, errors.Join(unopened(path, err), db.Close())
	}
	return &store{db: db}, nil
}

// unopened says why the database at path cannot be used, and what can be done.
func unopened(path string, err error) error {
	e := ops.Errorf(ops.CodeInternal, "open the queen's database %s: %w", path, err)
	damage, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return e
	}
	switch damage.Code() & 0xff { // the rest tells more of the same
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return e.WithHint("it is damaged: put a copy of it back, or move it away with its -wal and -shm to begin anew, "+
			"without the hives of other machines, API keys and aliases that it holds (`sqlite3 %s .recover` may save them)", path)
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR:
		return e.WithHint("the file and its folder must be writable and their disk must have room")
	}
	return e
}

// migrate runs the migrations that the database has not seen. Their files are
// numbered from 1; user_version is the number of the last one that ran.
func migrate(ctx context.Context, db *sql.DB) error {
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		return err
	}
	if version > len(files) {
		return fmt.Errorf("it was written by a newer rbee (schema %d, this one knows %d)", version, len(files))
	}
	for i, file := range files[version:] {
		text, err := migrations.ReadFile("migrations/" + file.Name())
		if err != nil {
			return err
		}
		script := fmt.Sprintf("BEGIN; %s; PRAGMA user_version = %d; COMMIT;", text, version+i+1)
		if _, err := db.ExecContext(ctx, script); err != nil {
			return fmt.Errorf("migrate by %s: %w", file.Name(), err)
		}
	}
	return nil
}

// Close closes the database.
func (s *store) Close() error { return s.db.Close() }

// SaveHive remembers what hive id said of itself at the time seen.
func (s *store) SaveHive(ctx context.Context, id string, snapshot ops.HiveSnapshot, seen time.Time) error {
	text, err := json.Marshal(snapshot)
	if err != nil {
		return fmt.Errorf("save hive %s: %w", id, err)
	}
	_, err = s.db.ExecContext(ctx,
		`INSERT INTO hives (id, snapshot, seen_at) VALUES (?, ?, ?)
		 ON CONFLICT (id) DO UPDATE SET snapshot = excluded.snapshot, seen_at = excluded.seen_at`,
		id, string(text), seen.UTC().UnixMilli())
	if err != nil {
		return fmt.Errorf("save hive %s: %w", id, err)
	}
	return nil
}

// Hive returns what the hive said last and when. A hive that never said
// anything has a zero time.
func (s *store) Hive(ctx context.Context, id string) (ops.HiveSnapshot, time.Time, error) {
	var text string
	var millis int64
	err := s.db.QueryRowContext(ctx, "SELECT snapshot, seen_at FROM hives WHERE id = ?", id).Scan(&text, &millis)
	if errors.Is(err, sql.ErrNoRows) {
		return ops.HiveSnapshot{Hive: ops.Hive{ID: id}}, time.Time{}, nil
	}
	if err != nil {
		return ops.HiveSnapshot{}, time.Time{}, fmt.Errorf("read hive %s: %w", id, err)
	}
	var snapshot ops.HiveSnapshot
	if err := json.Unmarshal([]byte(text), &snapshot); err != nil {
		return ops.HiveSnapshot{}, time.Time{}, fmt.Errorf("read hive %s: %w", id, err)
	}
	if millis == 0 {
		return snapshot, time.Time{}, nil
	}
	return snapshot, time.UnixMilli(millis).UTC(), nil
}

// Remotes returns the records of the hives that were installed, by name.
func (s *store) Remotes(ctx context.Context) (map[string]record, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id, remote FROM hives WHERE remote <> ''")
	if err != nil {
		return nil, fmt.Errorf("read the hives: %w", err)
	}
	defer rows.Close()
	all := map[string]record{}
	for rows.Next() {
		var id, text string
		if err := rows.Scan(&id, &text); err != nil {
			return nil, fmt.Errorf("read the hives: %w", err)
		}
		var r record
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return nil, fmt.Errorf("read hive %s: %w", id, err)
		}
		all[id] = r
	}
	return all, rows.Err()
}

// SaveRemote remembers the record of hive id.
func (s *store) SaveRemote(ctx context.Context, id string, r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("save hive %s: %w", id, err)
	}
	_, err = s.db.ExecContext(ctx,
		`INSERT INTO hives (id, snapshot, seen_at, remote) VALUES (?, ?, 0, ?)
		 ON CONFLICT (id) DO UPDATE SET remote = excluded.remote`,
		id, `{"hive":{"id":"`+id+`"}}`, string(text))
	if err != nil {
		return fmt.Errorf("save hive %s: %w", id, err)
	}
	return nil
}

// Forget forgets hive id.
func (s *store) Forget(ctx context.Context, id string) error {
	if _, err := s.db.ExecContext(ctx, "DELETE FROM hives WHERE id = ?1; DELETE FROM drained WHERE hive = ?1; DELETE FROM kept WHERE hive = ?1", id); err != nil {
		return fmt.Errorf("forget hive %s: %w", id, err)
	}
	return nil
}

// Aliases returns the other names of models, and what each means.
func (s *store) Aliases(ctx context.Context) (map[string]string, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT alias, model FROM aliases")
	if err != nil {
		return nil, fmt.Errorf("read the aliases: %w", err)
	}
	defer rows.Close()
	all := map[string]string{}
	for rows.Next() {
		var name, model string
		if err := rows.Scan(&name, &model); err != nil {
			return nil, fmt.Errorf("read the aliases: %w", err)
		}
		all[name] = model
	}
	return all, rows.Err()
}

// SaveAlias makes name mean model.
func (s *store) SaveAlias(ctx context.Context, name, model string) error {
	_, err := s.db.ExecContext(ctx, "INSERT INTO aliases (alias, model) VALUES (?, ?) ON CONFLICT (alias) DO UPDATE SET model = excluded.model", name, model)
	if err != nil {
		return fmt.Errorf("save the alias %s: %w", name, err)
	}
	return nil
}

// RemoveAlias forgets a name.
func (s *store) RemoveAlias(ctx context.Context, name string) error {
	if _, err := s.db.ExecContext(ctx, "DELETE FROM aliases WHERE alias = ?", name); err != nil {
		return fmt.Errorf("remove the alias %s: %w", name, err)
	}
	return nil
}

// Identity is the queen's id, by which a machine knows whose hive it has. It is
// made once.
func (s *store) Identity(ctx context.Context) (string, error) {
	if _, err := s.db.ExecContext(ctx, "INSERT INTO settings (name, value) VALUES ('identity', ?) ON CONFLICT DO NOTHING", rand.Text()); err != nil {
		return "", fmt.Errorf("keep the queen's identity: %w", err)
	}
	var id string
	if err := s.db.QueryRowContext(ctx, "SELECT value FROM settings WHERE name = 'identity'").Scan(&id); err != nil {
		return "", fmt.Errorf("read the queen's identity: %w", err)
	}
	return id, nil
}
