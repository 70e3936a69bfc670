-- +goose Up

-- What was decided last about a conversation, as one bot knows it. Times are nanoseconds
-- since 1970: of two decisions the one that began later stands.
CREATE TABLE secure_sessions (
    bot          TEXT    NOT NULL,
    conversation TEXT    NOT NULL,
    state        INTEGER NOT NULL,
    inputs       BLOB    NOT NULL, -- keyed hash
    revision     BLOB    NOT NULL,
    began        INTEGER NOT NULL,
    until        INTEGER,
    at           INTEGER,
    reason       TEXT    NOT NULL,
    denials      INTEGER NOT NULL, -- in a row
    failures     INTEGER NOT NULL, -- in a row
    expires      INTEGER NOT NULL,
    PRIMARY KEY (bot, conversation)
) STRICT, WITHOUT ROWID;

CREATE INDEX secure_sessions_expires ON secure_sessions (expires);

-- Which node asks the authorizer at the moment.
CREATE TABLE secure_leases (
    bot          TEXT    NOT NULL,
    conversation TEXT    NOT NULL,
    holder       TEXT    NOT NULL, -- a node
    until        INTEGER NOT NULL,
    PRIMARY KEY (bot, conversation)
) STRICT, WITHOUT ROWID;
