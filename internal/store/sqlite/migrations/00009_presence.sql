-- +goose Up
-- A turn may be a hook's now: it tells of something that happened behind the message seq.
CREATE TABLE turns_and_hooks (
    conversation INTEGER NOT NULL REFERENCES conversations (key) ON DELETE CASCADE,
    seq          INTEGER NOT NULL, -- of the message, or the newest one before the hook; 0: the welcome
    hook_at      INTEGER NOT NULL, -- when what the hook tells of happened; 0: no hook
    hook         TEXT    NOT NULL, -- offline or ended; empty: no hook
    bot          TEXT    NOT NULL, -- the conversation's
    ready        INTEGER,          -- when it may be leased; NULL: an older one of the conversation comes first
    attempt      INTEGER NOT NULL, -- how often it was leased
    again        INTEGER,          -- when it was put back after it had been given up; NULL: never
    PRIMARY KEY (conversation, seq, hook_at)
) STRICT, WITHOUT ROWID;
INSERT INTO turns_and_hooks SELECT conversation, seq, 0, '', bot, ready, attempt, again FROM turns;
DROP TABLE turns;
ALTER TABLE turns_and_hooks RENAME TO turns;
CREATE INDEX turns_ready ON turns (bot, ready) WHERE ready IS NOT NULL;

CREATE TABLE dead_turns_and_hooks (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL REFERENCES conversations (key) ON DELETE CASCADE,
    seq          INTEGER NOT NULL, -- this, hook_at and hook as in turns
    hook_at      INTEGER NOT NULL,
    hook         TEXT    NOT NULL,
    attempts     INTEGER NOT NULL, -- how often the bot was called
    reason       TEXT    NOT NULL, -- of the last call's failure
    at           INTEGER NOT NULL,
    UNIQUE (conversation, seq, hook_at)
) STRICT;
INSERT INTO sqlite_sequence (name, seq) SELECT 'dead_turns_and_hooks', seq FROM sqlite_sequence WHERE name = 'dead_turns';
INSERT INTO dead_turns_and_hooks SELECT id, conversation, seq, 0, '', attempts, reason, at FROM dead_turns;
DROP TABLE dead_turns;
ALTER TABLE dead_turns_and_hooks RENAME TO dead_turns;

-- One row for each session of a conversation whose bot wants to hear of its end. Nodes
-- with a connection of it move seen; the session's end removes the row.
CREATE TABLE presence (
    conversation INTEGER PRIMARY KEY REFERENCES conversations (key) ON DELETE CASCADE,
    bot          TEXT    NOT NULL, -- the conversation's
    told         INTEGER NOT NULL, -- 1: that the user is offline since seen
    seen         INTEGER NOT NULL  -- when the user was connected last
) STRICT;
CREATE INDEX presence_lapsed ON presence (bot, told, seen);
