-- +goose Up

-- The SRN under which a provider has the secret; empty: it is kept here.
ALTER TABLE app_secrets ADD COLUMN ref TEXT NOT NULL DEFAULT '';
