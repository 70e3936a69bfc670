-- +goose Up
CREATE TABLE conversations (
    key      INTEGER PRIMARY KEY, -- what the other tables know it by: a quarter of the id's size
    id       TEXT    NOT NULL UNIQUE,
    bot      TEXT    NOT NULL,
    issuer   TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    context  TEXT    NOT NULL, -- JSON object; empty: none was ever set
    read_seq INTEGER NOT NULL,
    created  INTEGER
) STRICT;

CREATE INDEX conversations_user ON conversations (issuer, subject, bot); -- and key: the last is the newest

-- In the order of commits over all conversations, so that a commit of many
-- conversations appends to one place. The newest seq is looked up in the index, and
-- so is never written twice.
CREATE TABLE messages (
    conversation INTEGER NOT NULL REFERENCES conversations (key) ON DELETE CASCADE,
    seq          INTEGER NOT NULL, -- from 1 on, without a gap
    id           TEXT    NOT NULL,
    sender       TEXT    NOT NULL, -- user, bot or system
    at           INTEGER NOT NULL,
    body         TEXT    NOT NULL -- JSON
) STRICT;

CREATE UNIQUE INDEX messages_seq ON messages (conversation, seq);
CREATE UNIQUE INDEX messages_id ON messages (conversation, id);

-- One row for each answer that a bot owes. It goes when the answer comes.
CREATE TABLE turns (
    conversation INTEGER NOT NULL REFERENCES conversations (key) ON DELETE CASCADE,
    seq          INTEGER NOT NULL, -- of the message; 0: the welcome
    bot          TEXT    NOT NULL, -- the conversation's
    ready        INTEGER,          -- when it may be leased; NULL: an older one of the conversation comes first
    attempt      INTEGER NOT NULL, -- how often it was leased
    PRIMARY KEY (conversation, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX turns_ready ON turns (bot, ready) WHERE ready IS NOT NULL;
