-- The hives that get no new work; '' is the queen herself.
CREATE TABLE drained (
	hive  TEXT PRIMARY KEY,
	since INTEGER NOT NULL  -- milliseconds since 1970, UTC
) STRICT;
