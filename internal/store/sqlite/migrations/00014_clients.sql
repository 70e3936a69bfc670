-- +goose Up

-- What an app is to OAuth, and the keys by which it proves who it is.
ALTER TABLE apps ADD COLUMN claims        TEXT    NOT NULL DEFAULT '';   -- of its own tokens, a template
ALTER TABLE apps ADD COLUMN grants        TEXT    NOT NULL DEFAULT '[]'; -- empty: those of its kind
ALTER TABLE apps ADD COLUMN redirect_uris TEXT    NOT NULL DEFAULT '[]';
ALTER TABLE apps ADD COLUMN first_party   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE apps ADD COLUMN user_scopes   TEXT    NOT NULL DEFAULT '[]';
ALTER TABLE apps ADD COLUMN audiences     TEXT    NOT NULL DEFAULT '[]'; -- that it answers for
ALTER TABLE apps ADD COLUMN targets       TEXT    NOT NULL DEFAULT '[]'; -- that it may ask tokens for
ALTER TABLE apps ADD COLUMN keys          TEXT    NOT NULL DEFAULT '[]'; -- public ones, and where more are

-- Assertions that were shown: each is good once.
CREATE TABLE assertions (
    id      BLOB    PRIMARY KEY, -- SHA-256 of who made it and its jti
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX assertions_expires ON assertions (expires);

-- When the good token of a refresh family was made: for a while the one before it is
-- answered again, as its answer may have been lost.
ALTER TABLE families ADD COLUMN rotated INTEGER;
