-- Why the newest requests went where they did.
CREATE TABLE explanations (
	job  TEXT PRIMARY KEY,
	came INTEGER NOT NULL, -- milliseconds since 1970, UTC
	text TEXT NOT NULL     -- as JSON
) STRICT, WITHOUT ROWID;
CREATE INDEX explanations_by_age ON explanations (came)
