-- +goose Up
ALTER TABLE apps ADD COLUMN public INTEGER NOT NULL DEFAULT 0;

-- A user's sign-ins are ended all at once.
CREATE INDEX families_subject ON families (subject);
