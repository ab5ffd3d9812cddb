-- A hive and what it said last. The queen's own machine is "localhost".
CREATE TABLE hives (
	id       TEXT PRIMARY KEY,
	snapshot TEXT NOT NULL,    -- JSON, ops.HiveSnapshot
	seen_at  INTEGER NOT NULL  -- milliseconds since 1970, UTC
) STRICT
