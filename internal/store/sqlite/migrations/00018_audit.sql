-- +goose Up

-- What happened, for who has to know later. Entries are never changed, and only those before
-- audit_kept.since are deleted: whoever deletes moves that first.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL, -- of the actor
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    object  TEXT    NOT NULL,
    outcome TEXT    NOT NULL,
    address TEXT    NOT NULL,
    node    TEXT    NOT NULL,
    details TEXT    NOT NULL  -- a JSON object
) STRICT;

CREATE INDEX audit_at ON audit (at);

-- One row: since when the log is whole.
CREATE TABLE audit_kept (since INTEGER NOT NULL) STRICT;
INSERT INTO audit_kept (since) VALUES (0);

-- +goose StatementBegin
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit WHEN OLD.at >= (SELECT MIN(since) FROM audit_kept)
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
-- +goose StatementEnd

-- REPLACE deletes without asking the trigger above.
-- +goose StatementBegin
CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
-- +goose StatementEnd
