-- +goose Up

-- Browsers that were sent to sign in.
CREATE TABLE sign_ins (
    state        BLOB    NOT NULL PRIMARY KEY, -- hash
    browser      BLOB    NOT NULL,             -- hash of its cookie
    bot          TEXT    NOT NULL,
    conversation TEXT    NOT NULL,
    profile      TEXT    NOT NULL,
    sealed       BLOB    NOT NULL,
    expires      INTEGER NOT NULL              -- nanoseconds since 1970
) STRICT, WITHOUT ROWID;

CREATE INDEX sign_ins_expires ON sign_ins (expires);

-- What users have signed in for.
CREATE TABLE grants (
    bot          TEXT    NOT NULL,
    conversation TEXT    NOT NULL,
    profile      TEXT    NOT NULL,
    hint         BLOB    NOT NULL, -- hash
    sealed       BLOB    NOT NULL, -- tokens
    version      INTEGER NOT NULL,
    expires      INTEGER NOT NULL, -- nanoseconds since 1970
    PRIMARY KEY (bot, conversation)
) STRICT;

CREATE INDEX grants_expires ON grants (expires);
