-- How much of a key's rates is left and since when, as JSON; empty is all of it.
ALTER TABLE keys ADD COLUMN rates TEXT NOT NULL DEFAULT ''
