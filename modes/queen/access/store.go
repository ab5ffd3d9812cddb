package access

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"rbee.dev/rbee/ops"
)

// settings is what the database has of a key in one column: what never changes.
type settings struct {
	Scopes   []ops.Scope `json:"scopes"`
	Models   []string    `json:"models"`
	Requests int         `json:"requests_per_minute"`
	Tokens   int         `json:"tokens_per_minute"`
}

// loadKeys reads the keys, oldest first.
func loadKeys(ctx context.Context, db *sql.DB) ([]*key, error) {
	rows, err := db.QueryContext(ctx, "SELECT id, name, digest, settings, created_at, expires_at, revoked_at, used_at, rates FROM keys ORDER BY created_at, id")
	if err != nil {
		return nil, fmt.Errorf("read the API keys: %w", err)
	}
	defer rows.Close()
	var all []*key
	for rows.Next() {
		var k ops.Key
		var sum []byte
		var text, left string
		var created, expires, revoked, used int64
		if err := rows.Scan(&k.ID, &k.Name, &sum, &text, &created, &expires, &revoked, &used, &left); err != nil {
			return nil, fmt.Errorf("read the API keys: %w", err)
		}
		var s settings
		if err := json.Unmarshal([]byte(text), &s); err != nil || len(sum) != len(digest{}) {
			return nil, fmt.Errorf("read the API key %s: its row is damaged: %w", k.ID, err)
		}
		k.Scopes, k.Models, k.RequestsPerMinute, k.TokensPerMinute = s.Scopes, s.Models, s.Requests, s.Tokens
		k.CreatedAt, k.ExpiresAt, k.RevokedAt, k.LastUsedAt = time.UnixMilli(created).UTC(), moment(expires), moment(revoked), moment(used)
		one := newKey(k, digest(sum))
		if err := one.restore(left); err != nil {
			return nil, fmt.Errorf("read the rates of the API key %s: %w", k.ID, err)
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// saveKey remembers a new key.
func saveKey(ctx context.Context, db *sql.DB, k *key) error {
	text, err := json.Marshal(settings{Scopes: k.Scopes, Models: k.Models, Requests: k.RequestsPerMinute, Tokens: k.TokensPerMinute})
	if err != nil {
		return fmt.Errorf("save the API key: %w", err)
	}
	_, err = db.ExecContext(ctx, "INSERT INTO keys (id, name, digest, settings, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
		k.ID, k.Name, k.digest[:], string(text), k.CreatedAt.UnixMilli(), millis(k.ExpiresAt))
	if err != nil {
		return fmt.Errorf("save the API key: %w", err)
	}
	return nil
}

// endKey remembers that a key is not taken any more, or forgets it.
func endKey(ctx context.Context, db *sql.DB, id string, at time.Time, forget bool) error {
	query, args := "UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at = 0", []any{at.UnixMilli(), id}
	if forget {
		query, args = "DELETE FROM keys WHERE id = ?", []any{id}
	}
	if _, err := db.ExecContext(ctx, query, args...); err != nil {
		return fmt.Errorf("revoke the API key %s: %w", id, err)
	}
	return nil
}

// rates are how full a key's buckets are, as the database has it in one column.
type rates struct {
	Requests reading `json:"requests"`
	Tokens   reading `json:"tokens"`
}

// restore makes the key's buckets as full as they were.
func (k *key) restore(text string) error {
	if text == "" {
		return nil
	}
	var r rates
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return err
	}
	k.requests.set(r.Requests)
	k.tokens.set(r.Tokens)
	k.saved = k.changing()
	return nil
}

// saveUse writes down when keys were used last, what is left of their rates, and
// that they were revoked, where that was not possible then.
func (k *keys) saveUse(ctx context.Context, db *sql.DB) error {
	k.changing.Lock()
	defer k.changing.Unlock()
	return k.save(ctx, db)
}

// save does so; the caller holds k.changing.
func (k *keys) save(ctx context.Context, db *sql.DB) error {
	for _, one := range k.list() {
		is := one.changing()
		if is == one.saved {
			continue
		}
		text, err := json.Marshal(rates{is.requests, is.tokens})
		if err == nil {
			_, err = db.ExecContext(ctx, "UPDATE keys SET used_at = ?, rates = ?, revoked_at = ? WHERE id = ?", is.used, string(text), is.revoked, one.ID)
		}
		if err != nil {
			return fmt.Errorf("write the API key %s down: %w", one.ID, err)
		}
		one.saved = is
	}
	return nil
}
