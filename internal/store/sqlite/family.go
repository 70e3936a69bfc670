package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/token"
)

// AddFamily adds a refresh family. If the id is taken, that is a conflict.
func (s *Store) AddFamily(ctx context.Context, f token.Family) error {
	return s.write(ctx, "add family", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO families (id, app, subject, scope, audience, algorithm, hash, created, expires, revoked)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			f.ID, f.App, f.Subject, f.Scope, f.Audience, f.Algorithm, digest(f.Hash),
			stamp(f.Created), stamp(f.Expires), stamp(f.Revoked))
		if taken(err) {
			return fault.New(fault.Conflict, "the refresh family exists already")
		}
		return err
	})
}

// Family returns the family of an id, expired and revoked ones too, or a fault of
// kind NotFound.
func (s *Store) Family(ctx context.Context, id token.FamilyID) (token.Family, error) {
	var f token.Family
	err := s.readers.QueryRowContext(ctx, `
		SELECT id, app, subject, scope, audience, algorithm, hash, created, expires, revoked
		FROM families WHERE id = ?`, id).Scan(
		&f.ID, &f.App, &f.Subject, &f.Scope, &f.Audience, &f.Algorithm, (*digest)(&f.Hash),
		(*stamp)(&f.Created), (*stamp)(&f.Expires), (*stamp)(&f.Revoked))
	if errors.Is(err, sql.ErrNoRows) {
		return token.Family{}, fault.New(fault.NotFound, "no such refresh family")
	}
	return f, explain("read family", err)
}

// RotateFamily makes next the hash of the family's good token and expires its end,
// if its good token's hash is current and at now it is neither revoked nor expired;
// otherwise it changes nothing and returns false. Of callers that show the same
// current hash at once, exactly one gets true.
func (s *Store) RotateFamily(ctx context.Context, id token.FamilyID, current, next [32]byte, expires, now time.Time) (bool, error) {
	var n int64
	err := s.write(ctx, "rotate family", func(ctx context.Context, tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `
			UPDATE families SET hash = ?, expires = ?
			WHERE id = ? AND hash = ? AND revoked IS NULL AND expires > ?`,
			digest(next), stamp(expires), id, digest(current), stamp(now))
		if err != nil {
			return err
		}
		n, err = r.RowsAffected()
		return err
	})
	return err == nil && n == 1, err
}

// RevokeFamily ends a family. One that is unknown or revoked already stays as it is.
func (s *Store) RevokeFamily(ctx context.Context, id token.FamilyID, now time.Time) error {
	return s.write(ctx, "revoke family", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx,
			`UPDATE families SET revoked = ? WHERE id = ? AND revoked IS NULL`, stamp(now), id)
		return err
	})
}

// RevokeFamiliesOf ends all families of a subject, as [Store.RevokeFamily] does one.
func (s *Store) RevokeFamiliesOf(ctx context.Context, subject string, now time.Time) error {
	return s.write(ctx, "revoke families", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx,
			`UPDATE families SET revoked = ? WHERE subject = ? AND revoked IS NULL`, stamp(now), subject)
		return err
	})
}

// DeleteExpiredFamilies forgets the families that expired before the given time,
// and tells how many they were.
func (s *Store) DeleteExpiredFamilies(ctx context.Context, before time.Time) (int, error) {
	var n int64
	err := s.write(ctx, "delete families", func(ctx context.Context, tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `DELETE FROM families WHERE expires < ?`, stamp(before))
		if err != nil {
			return err
		}
		n, err = r.RowsAffected()
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}
