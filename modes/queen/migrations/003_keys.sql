CREATE TABLE keys (
	id         TEXT PRIMARY KEY,
	name       TEXT NOT NULL,
	digest     BLOB NOT NULL UNIQUE,       -- SHA-256 of the secret
	settings   TEXT NOT NULL,              -- scopes, models and rates, as JSON
	created_at INTEGER NOT NULL,           -- Unix milliseconds, as the others
	expires_at INTEGER NOT NULL DEFAULT 0, -- 0 is never
	revoked_at INTEGER NOT NULL DEFAULT 0, -- 0 is not
	used_at    INTEGER NOT NULL DEFAULT 0  -- 0 is never
) STRICT;

CREATE TABLE usage (
	hour       INTEGER NOT NULL, -- since 1970
	key        TEXT NOT NULL,    -- a key's id, also of one forgotten; token, none
	model      TEXT NOT NULL,    -- empty where the request named none there is
	requests   INTEGER NOT NULL,
	errors     INTEGER NOT NULL,
	tokens_in  INTEGER NOT NULL,
	tokens_out INTEGER NOT NULL,
	estimated  INTEGER NOT NULL, -- requests whose tokens are an estimate
	millis     INTEGER NOT NULL,
	PRIMARY KEY (hour, key, model)
) STRICT, WITHOUT ROWID
