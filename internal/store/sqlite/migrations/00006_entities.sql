-- +goose Up
-- What the gateway's configuration has besides the file.
CREATE TABLE entities (
    id   TEXT PRIMARY KEY NOT NULL, -- UUID
    kind TEXT NOT NULL, -- services, routes, …
    name TEXT, -- NULL: none
    doc  TEXT NOT NULL -- JSON
) STRICT;

CREATE UNIQUE INDEX entities_name ON entities (kind, name) WHERE name IS NOT NULL;

-- One row. It grows with every change of entities, in the same transaction: they are
-- only changed by whoever has seen the newest of them, since they must fit together.
CREATE TABLE entity_revision (
    n INTEGER NOT NULL
) STRICT;

INSERT INTO entity_revision (n) VALUES (0);
