-- +goose Up
ALTER TABLE conversations ADD COLUMN last_seq INTEGER NOT NULL DEFAULT 0; -- of the newest message, when all are deleted
