-- +goose Up
ALTER TABLE conversations ADD COLUMN owned TEXT NOT NULL DEFAULT '[]'; -- JSON array: the members of context that are the server's
ALTER TABLE conversations ADD COLUMN moves INTEGER NOT NULL DEFAULT 0; -- how often it has become another user's
