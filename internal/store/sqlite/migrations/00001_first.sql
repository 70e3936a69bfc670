-- Times are milliseconds since 1970, UTC; NULL is a time that never comes.
-- Lists are JSON arrays.

-- +goose Up
CREATE TABLE keys (
    set_name TEXT    NOT NULL,
    kid      TEXT    NOT NULL,
    public   TEXT    NOT NULL, -- JWK
    sealed   TEXT    NOT NULL, -- private JWK under the signing master key
    created  INTEGER,
    active   INTEGER,
    retire   INTEGER,
    expire   INTEGER,
    revoked  INTEGER,
    PRIMARY KEY (set_name, kid)
) STRICT;

CREATE TABLE apps (
    id                TEXT PRIMARY KEY NOT NULL,
    name              TEXT    NOT NULL,
    disabled          INTEGER NOT NULL,
    created           INTEGER,
    identity          TEXT    NOT NULL,
    trusted_networks  TEXT    NOT NULL,
    origins           TEXT    NOT NULL,
    audience          TEXT    NOT NULL,
    session_algorithm TEXT    NOT NULL,
    access_algorithm  TEXT    NOT NULL,
    scopes            TEXT    NOT NULL
) STRICT;

CREATE TABLE app_secrets (
    app        TEXT    NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    position   INTEGER NOT NULL, -- in the app's list
    id         TEXT    NOT NULL,
    hash       BLOB    NOT NULL, -- SHA-256
    sealed     TEXT    NOT NULL,
    not_before INTEGER,
    not_after  INTEGER,
    PRIMARY KEY (app, position)
) STRICT;

CREATE TABLE users (
    id       TEXT PRIMARY KEY NOT NULL,
    name     TEXT    NOT NULL UNIQUE,
    password TEXT    NOT NULL, -- argon2id, PHC string
    disabled INTEGER NOT NULL,
    scopes   TEXT    NOT NULL,
    created  INTEGER
) STRICT;

CREATE TABLE families (
    id        TEXT PRIMARY KEY NOT NULL,
    app       TEXT NOT NULL,
    subject   TEXT NOT NULL,
    scope     TEXT NOT NULL,
    audience  TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    hash      BLOB NOT NULL, -- SHA-256 of the good refresh token's secret part
    created   INTEGER,
    expires   INTEGER,
    revoked   INTEGER
) STRICT;

CREATE INDEX families_expires ON families (expires);

-- One row. It grows with every write to keys, apps and users, in the same
-- transaction, so that nodes see in one cheap read that they must look again.
CREATE TABLE version (
    n INTEGER NOT NULL
) STRICT;

INSERT INTO version (n) VALUES (0);
