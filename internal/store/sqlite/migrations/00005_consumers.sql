-- Times are seconds since 1970, UTC: there are millions of rows.

-- +goose Up
CREATE TABLE consumers (
    n         INTEGER PRIMARY KEY AUTOINCREMENT, -- what the other tables know it by
    id        TEXT UNIQUE, -- UUID; NULL: removed, it goes when its credentials are gone
    username  TEXT UNIQUE, -- NULL: none
    custom_id TEXT UNIQUE, -- NULL: none
    groups    TEXT    NOT NULL, -- JSON array of memberships
    tags      TEXT, -- JSON array; NULL: none
    created   INTEGER NOT NULL,
    ends      INTEGER -- its credentials are refused from then on; NULL: it stays
) STRICT;

CREATE INDEX consumers_ends ON consumers (ends) WHERE ends IS NOT NULL;

-- What most rows do not have is NULL, which takes no space.
CREATE TABLE credentials (
    n          INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: its UUID follows from it
    consumer   INTEGER NOT NULL REFERENCES consumers (n),
    key        TEXT    NOT NULL, -- iss of the tokens
    algorithm  TEXT, -- NULL: HS256
    secret     BLOB, -- under the data master key, bound to key
    public_key TEXT, -- PEM
    tags       TEXT, -- JSON array
    created    INTEGER NOT NULL,
    id         BLOB  -- UUID that another system gave it
) STRICT;

CREATE UNIQUE INDEX credentials_key ON credentials (key);
CREATE UNIQUE INDEX credentials_id ON credentials (id) WHERE id IS NOT NULL;
CREATE INDEX credentials_consumer ON credentials (consumer); -- and n

-- One row: the key that makes UUIDs of numbers.
CREATE TABLE row_ids (
    key BLOB NOT NULL
) STRICT;

INSERT INTO row_ids (key) VALUES (randomblob(16));

-- What was written to consumers, credentials and entities, for nodes that remember
-- some of them. It has no gaps but at its beginning.
CREATE TABLE changes (
    seq   INTEGER PRIMARY KEY AUTOINCREMENT,
    kind  TEXT    NOT NULL,
    key   TEXT    NOT NULL, -- empty: many were added at once
    added INTEGER NOT NULL, -- 1: and nothing was changed or removed
    at    INTEGER NOT NULL
) STRICT;

-- What a day saw of a consumer.
CREATE TABLE consumer_uses (
    consumer INTEGER NOT NULL REFERENCES consumers (n) ON DELETE CASCADE,
    day      INTEGER NOT NULL, -- its beginning
    requests INTEGER NOT NULL,
    last     INTEGER NOT NULL,
    seen     BLOB    NOT NULL, -- sketch of the distinct credentials
    PRIMARY KEY (consumer, day)
) STRICT, WITHOUT ROWID;

-- How far unfinished imports have come.
CREATE TABLE imports (
    name     TEXT PRIMARY KEY NOT NULL, -- what its file begins with, hashed
    progress TEXT NOT NULL -- JSON
) STRICT;
