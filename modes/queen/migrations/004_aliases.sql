-- Other names for models.
CREATE TABLE aliases (
	alias TEXT PRIMARY KEY,
	model TEXT NOT NULL  -- a model's name, or where it comes from
) STRICT
