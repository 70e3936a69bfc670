-- +goose Up

ALTER TABLE families ADD COLUMN session TEXT NOT NULL DEFAULT ''; -- of the browser in which it began

-- Browsers in which somebody is signed in.
CREATE TABLE browser_sessions (
    id      TEXT    NOT NULL PRIMARY KEY,
    hash    BLOB    NOT NULL UNIQUE, -- SHA-256 of the cookie
    subject TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    scopes  TEXT    NOT NULL,
    agent   TEXT    NOT NULL,
    network TEXT    NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;

CREATE INDEX browser_sessions_subject ON browser_sessions (subject);
CREATE INDEX browser_sessions_expires ON browser_sessions (expires);

-- Authorization codes, and what was given for them.
CREATE TABLE codes (
    hash         BLOB    NOT NULL PRIMARY KEY, -- SHA-256
    app          TEXT    NOT NULL,
    session      TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    scope        TEXT    NOT NULL,
    redirect_uri TEXT    NOT NULL,
    challenge    TEXT    NOT NULL,
    nonce        TEXT    NOT NULL,
    auth_time    INTEGER NOT NULL,
    expires      INTEGER NOT NULL,
    used         INTEGER,
    given        TEXT    NOT NULL DEFAULT '',
    family       TEXT    NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE INDEX codes_session ON codes (session);
CREATE INDEX codes_expires ON codes (expires);

-- What people let apps do.
CREATE TABLE consents (
    subject TEXT    NOT NULL,
    app     TEXT    NOT NULL,
    scope   TEXT    NOT NULL,
    given   INTEGER NOT NULL,
    PRIMARY KEY (subject, app)
) STRICT;
