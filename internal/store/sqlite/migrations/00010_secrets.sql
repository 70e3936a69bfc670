-- +goose Up
-- The built-in vault: names, and the versions of what they stand for.
CREATE TABLE secrets (
    key          INTEGER PRIMARY KEY,
    organization TEXT    NOT NULL,
    name         TEXT    NOT NULL, -- lower case
    type         TEXT    NOT NULL, -- secret, secretdoc or certificate
    last         INTEGER NOT NULL, -- the newest version that there ever was
    UNIQUE (organization, name)
) STRICT;

CREATE TABLE secret_versions (
    secret  INTEGER NOT NULL REFERENCES secrets (key) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    sealed  BLOB    NOT NULL, -- under the data master key, for organization, type, name and version
    created INTEGER NOT NULL,
    PRIMARY KEY (secret, version)
) STRICT, WITHOUT ROWID;
