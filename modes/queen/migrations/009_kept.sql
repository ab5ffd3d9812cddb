-- How a person has started a worker that has settings of its own, which it has
-- again when it comes back.
CREATE TABLE kept (
	hive   TEXT NOT NULL,
	model  TEXT NOT NULL,
	worker TEXT NOT NULL,  -- that was started so last
	spawn  TEXT NOT NULL,  -- JSON, ops.WorkerSpawn
	PRIMARY KEY (hive, model)
) STRICT, WITHOUT ROWID
