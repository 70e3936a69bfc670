package table

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/token"
)

// AddFamily adds a refresh family. If the id is taken, that is a conflict.
func (t *Tables) AddFamily(ctx context.Context, f token.Family) error {
	return t.db.Write(ctx, "add family", func(ctx context.Context, tx Tx) error { return t.addFamily(ctx, tx, &f) })
}

func (t *Tables) addFamily(ctx context.Context, tx Tx, f *token.Family) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO families (id, app, session, subject, scope, audience, algorithm, hash, created, expires, revoked, rotated)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		f.ID, f.App, f.Session, f.Subject, f.Scope, f.Audience, f.Algorithm, digest(f.Hash),
		Stamp(f.Created), Stamp(f.Expires), Stamp(f.Revoked), Stamp(f.Rotated))
	if _, there := t.db.Taken(err); there {
		return fault.New(fault.Conflict, "the refresh family exists already")
	}
	return err
}

const selectFamily = `
	SELECT id, app, session, subject, scope, audience, algorithm, hash, created, expires, revoked, rotated FROM families`

func scanFamily(r Rows) (f token.Family, err error) {
	err = r.Scan(&f.ID, &f.App, &f.Session, &f.Subject, &f.Scope, &f.Audience, &f.Algorithm, (*digest)(&f.Hash),
		(*Stamp)(&f.Created), (*Stamp)(&f.Expires), (*Stamp)(&f.Revoked), (*Stamp)(&f.Rotated))
	return f, err
}

// Family returns the family of an id, expired and revoked ones too, or a fault of
// kind NotFound.
func (t *Tables) Family(ctx context.Context, id token.FamilyID) (token.Family, error) {
	f, err := scanFamily(t.db.Reader().QueryRowContext(ctx, selectFamily+` WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return token.Family{}, fault.New(fault.NotFound, "no such refresh family")
	}
	return f, t.db.Explain("read family", err)
}

// Families returns up to limit families of a subject that are neither revoked nor expired
// at now, the one that was used last first.
func (t *Tables) Families(ctx context.Context, subject string, now time.Time, limit int) ([]token.Family, error) {
	return collect(ctx, t, t.db.Reader(), "read families", scanFamily,
		selectFamily+` WHERE subject = ? AND revoked IS NULL AND expires > ? ORDER BY expires DESC, id LIMIT ?`,
		subject, Stamp(now), limit)
}

// RotateFamily makes next the hash of the family's good token, made at now, and expires
// its end, if its good token's hash is current and at now it is neither revoked nor expired;
// otherwise it changes nothing and returns false. Of callers that show the same
// current hash at once, exactly one gets true.
func (t *Tables) RotateFamily(ctx context.Context, id token.FamilyID, current, next [32]byte, expires, now time.Time) (bool, error) {
	var n int64
	err := t.db.Write(ctx, "rotate family", func(ctx context.Context, tx Tx) (err error) {
		n, err = affected(tx.ExecContext(ctx, `
			UPDATE families SET hash = ?, expires = ?, rotated = ?
			WHERE id = ? AND hash = ? AND revoked IS NULL AND expires > ?`,
			digest(next), Stamp(expires), Stamp(now), id, digest(current), Stamp(now)))
		return err
	})
	return err == nil && n == 1, err
}

// RevokeFamily ends a family. One that is unknown or revoked already stays as it is.
func (t *Tables) RevokeFamily(ctx context.Context, id token.FamilyID, now time.Time) error {
	return t.db.Write(ctx, "revoke family", func(ctx context.Context, tx Tx) error {
		_, err := tx.ExecContext(ctx,
			`UPDATE families SET revoked = ? WHERE id = ? AND revoked IS NULL`, Stamp(now), id)
		return err
	})
}

// RevokeFamiliesOf ends all families of a subject, as [Tables.RevokeFamily] does one, but
// those that began in the session but, if that is not empty.
func (t *Tables) RevokeFamiliesOf(ctx context.Context, subject, but string, now time.Time) error {
	return t.db.Write(ctx, "revoke families", func(ctx context.Context, tx Tx) error {
		_, err := tx.ExecContext(ctx,
			`UPDATE families SET revoked = ? WHERE subject = ? AND revoked IS NULL AND (session = '' OR session <> ?)`,
			Stamp(now), subject, but)
		return err
	})
}

// DeleteExpiredFamilies forgets the families that expired before the given time,
// and tells how many they were.
func (t *Tables) DeleteExpiredFamilies(ctx context.Context, before time.Time) (int, error) {
	var n int64
	err := t.db.Write(ctx, "delete families", func(ctx context.Context, tx Tx) (err error) {
		n, err = affected(tx.ExecContext(ctx, `DELETE FROM families WHERE expires < ?`, Stamp(before)))
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}
