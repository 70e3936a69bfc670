-- +goose Up

-- Where actors stand in restriction groups.
CREATE TABLE standings (
    restriction TEXT    NOT NULL, -- the group's id
    actor       TEXT    NOT NULL, -- a digest
    step        INTEGER NOT NULL,
    until       INTEGER,          -- nanoseconds since 1970
    PRIMARY KEY (restriction, actor)
) STRICT, WITHOUT ROWID;

CREATE INDEX standings_until ON standings (until);

-- Which connector confirms who the visitors of an app are, and the cookies that it sees.
ALTER TABLE apps ADD COLUMN connector TEXT NOT NULL DEFAULT '';
ALTER TABLE apps ADD COLUMN cookies TEXT NOT NULL DEFAULT '[]';
