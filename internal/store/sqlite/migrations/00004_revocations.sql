-- +goose Up
-- One row for each target. A change of one replaces the row under a new id, so that
-- nodes read what has changed from the last id that they know.
CREATE TABLE revocations (
    id      INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
    kind    TEXT    NOT NULL,
    issuer  TEXT    NOT NULL, -- of a subject or a device; else empty
    name    TEXT    NOT NULL,
    before  INTEGER,          -- NULL: whenever the token was issued
    expires INTEGER,          -- NULL: never
    created INTEGER,
    reason  TEXT    NOT NULL,
    author  TEXT    NOT NULL,
    removed INTEGER NOT NULL  -- taken back; kept until it expires, for nodes that hold it
) STRICT;

CREATE UNIQUE INDEX revocations_target ON revocations (kind, issuer, name);
CREATE INDEX revocations_expires ON revocations (expires) WHERE expires IS NOT NULL;
