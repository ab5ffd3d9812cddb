-- Use is kept by the minute, and after a day by the hour: in the hour's first one.
CREATE TABLE usage_by_minute (
	minute     INTEGER NOT NULL, -- since 1970
	key        TEXT NOT NULL,    -- a key's id, also of one forgotten; token, none
	model      TEXT NOT NULL,    -- empty where the request named none there is
	requests   INTEGER NOT NULL,
	errors     INTEGER NOT NULL,
	tokens_in  INTEGER NOT NULL,
	tokens_out INTEGER NOT NULL,
	estimated  INTEGER NOT NULL, -- requests whose tokens are an estimate
	millis     INTEGER NOT NULL,
	PRIMARY KEY (minute, key, model)
) STRICT, WITHOUT ROWID;

INSERT INTO usage_by_minute SELECT hour * 60, key, model, requests, errors, tokens_in, tokens_out, estimated, millis FROM usage;
DROP TABLE usage;
ALTER TABLE usage_by_minute RENAME TO usage
