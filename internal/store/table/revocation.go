package table

import (
	"context"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/revocation"
)

const revocationColumns = `id, kind, issuer, name, before, expires, created, reason, author, removed`

// AddRevocation saves e, over the entry of the same target if there is one, under an id
// of its own, and returns what is in force now. Ids appear in
// their order.
func (t *Tables) AddRevocation(ctx context.Context, e revocation.Entry) (revocation.Entry, error) {
	const what = "add revocation"
	err := t.db.Order(ctx, what, func(ctx context.Context, tx Tx) error {
		old, err := collect(ctx, t, tx, what, scanRevocation,
			`SELECT `+revocationColumns+` FROM revocations WHERE kind = ? AND issuer = ? AND name = ?`,
			e.Kind.String(), e.Issuer, e.Name)
		if err != nil {
			return err
		}
		if len(old) > 0 {
			e = e.Over(old[0])
		}
		return replaceRevocation(ctx, tx, &e)
	})
	return e, err
}

// RemoveRevocation takes the entry of an id back. It stands as removed, under an id of
// its own, until the time given.
func (t *Tables) RemoveRevocation(ctx context.Context, id int64, until time.Time) (revocation.Entry, error) {
	const what = "remove revocation"
	var e revocation.Entry
	err := t.db.Order(ctx, what, func(ctx context.Context, tx Tx) error {
		found, err := collect(ctx, t, tx, what, scanRevocation,
			`SELECT `+revocationColumns+` FROM revocations WHERE id = ? AND NOT removed`, id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fault.Newf(fault.NotFound, "there is no revocation %d", id)
		}
		e = found[0]
		e.Removed, e.Expires = true, until
		return replaceRevocation(ctx, tx, &e)
	})
	return e, err
}

// replaceRevocation makes e the one row of its target, and sets its id.
func replaceRevocation(ctx context.Context, tx Tx, e *revocation.Entry) error {
	kind := e.Kind.String()
	_, err := tx.ExecContext(ctx, `DELETE FROM revocations WHERE kind = ? AND issuer = ? AND name = ?`, kind, e.Issuer, e.Name)
	if err != nil {
		return err
	}
	return tx.QueryRowContext(ctx, `
		INSERT INTO revocations (kind, issuer, name, before, expires, created, reason, author, removed)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
		kind, e.Issuer, e.Name, Stamp(e.Before), Stamp(e.Expires), Stamp(e.Created), e.Reason, e.By, e.Removed).Scan(&e.ID)
}

// Revocations returns entries of a kind (0: of all) whose id is greater than after,
// removed and expired ones too, by growing id.
func (t *Tables) Revocations(ctx context.Context, k revocation.Kind, after int64, limit int) ([]revocation.Entry, error) {
	return collect(ctx, t, t.db.Reader(), "read revocations", scanRevocation, `
		SELECT `+revocationColumns+` FROM revocations
		WHERE id > ?1 AND (?2 = '' OR kind = ?2) ORDER BY id LIMIT ?3`, after, k.String(), limit)
}

func scanRevocation(r Rows) (e revocation.Entry, err error) {
	var kind string
	err = r.Scan(&e.ID, &kind, &e.Issuer, &e.Name, (*Stamp)(&e.Before), (*Stamp)(&e.Expires), (*Stamp)(&e.Created),
		&e.Reason, &e.By, &e.Removed)
	if err == nil {
		err = e.Kind.UnmarshalText([]byte(kind))
	}
	return e, err
}

// DeleteExpiredRevocations forgets the entries that expired before the given time, and
// tells how many they were.
func (t *Tables) DeleteExpiredRevocations(ctx context.Context, before time.Time) (int, error) {
	var n int64
	err := t.db.Write(ctx, "delete revocations", func(ctx context.Context, tx Tx) (err error) {
		n, err = affected(tx.ExecContext(ctx, `DELETE FROM revocations WHERE expires < ?`, Stamp(before)))
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}
