-- +goose Up
ALTER TABLE turns ADD COLUMN again INTEGER; -- when it was put back after it had been given up; NULL: never

-- Turns that were given up, until somebody puts them back or drops them. Ids grow with time.
CREATE TABLE dead_turns (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL REFERENCES conversations (key) ON DELETE CASCADE,
    seq          INTEGER NOT NULL, -- of the message; 0: the welcome
    attempts     INTEGER NOT NULL, -- how often the bot was called
    reason       TEXT    NOT NULL, -- of the last call's failure
    at           INTEGER NOT NULL,
    UNIQUE (conversation, seq)
) STRICT;
