-- How to reach a hive on another machine and what was installed there, as JSON;
-- empty for the queen's own.
ALTER TABLE hives ADD COLUMN remote TEXT NOT NULL DEFAULT '';

-- What the queen remembers of itself.
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
