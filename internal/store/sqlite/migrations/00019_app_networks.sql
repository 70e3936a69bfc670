-- +goose Up

-- Where an app's session tokens may be asked for from.
ALTER TABLE apps ADD COLUMN networks   TEXT    NOT NULL DEFAULT '[]'; -- empty: anywhere
ALTER TABLE apps ADD COLUMN https_only INTEGER NOT NULL DEFAULT 0;
