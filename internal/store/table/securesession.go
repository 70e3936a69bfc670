package table

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/carnetproject/carnet/internal/securesession"
)

// LeaseSecureSession gives the holder the lease of a conversation, or lengthens the one
// that it has. It is false while another holder's lasts.
func (t *Tables) LeaseSecureSession(ctx context.Context, k securesession.Key, holder string, now, until time.Time) (bool, error) {
	var n int64
	err := t.db.Write(ctx, "lease secure session", func(ctx context.Context, tx Tx) error {
		var err error
		n, err = affected(tx.ExecContext(ctx, `
			INSERT INTO secure_leases (bot, conversation, holder, until) VALUES (?1, ?2, ?3, ?5)
			ON CONFLICT (bot, conversation) DO UPDATE SET holder = ?3, until = ?5
			WHERE secure_leases.holder = ?3 OR secure_leases.until <= ?4`,
			k.Bot, k.Conversation, holder, instant(now), instant(until)))
		return err
	})
	return err == nil && n == 1, err
}

// SecureSession returns the record of a conversation, the zero one if there is none that
// has not expired.
func (t *Tables) SecureSession(ctx context.Context, k securesession.Key, now time.Time) (securesession.Record, error) {
	r, err := secureSession(ctx, t.db.Reader(), k, now)
	return r, t.db.Explain("read secure session", err)
}

func secureSession(ctx context.Context, q Querier, k securesession.Key, now time.Time) (r securesession.Record, err error) {
	err = q.QueryRowContext(ctx, `
		SELECT state, inputs, revision, began, until, at, reason, denials, failures
		FROM secure_sessions WHERE bot = ? AND conversation = ? AND expires > ?`,
		k.Bot, k.Conversation, instant(now)).Scan(
		&r.State, (*digest)(&r.Print.Inputs), (*digest)(&r.Print.Revision), (*instant)(&r.Began),
		(*instant)(&r.Until), (*instant)(&r.At), &r.Reason, &r.Denials, &r.Failures)
	if errors.Is(err, sql.ErrNoRows) {
		return securesession.Record{}, nil
	}
	return r, err
}

// SaveSecureSession keeps a record until it expires, unless the one that is there did not
// begin before it, and ends the holder's lease. It returns the record that stands.
func (t *Tables) SaveSecureSession(ctx context.Context, k securesession.Key, holder string, r securesession.Record, expires time.Time) (securesession.Record, error) {
	var stands securesession.Record
	err := t.db.Write(ctx, "save secure session", func(ctx context.Context, tx Tx) error {
		n, err := affected(tx.ExecContext(ctx, `
			INSERT INTO secure_sessions
				(bot, conversation, state, inputs, revision, began, until, at, reason, denials, failures, expires)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (bot, conversation) DO UPDATE SET
				state = excluded.state, inputs = excluded.inputs, revision = excluded.revision, began = excluded.began,
				until = excluded.until, at = excluded.at, reason = excluded.reason,
				denials = excluded.denials, failures = excluded.failures, expires = excluded.expires
			WHERE secure_sessions.began < excluded.began`,
			k.Bot, k.Conversation, r.State, digest(r.Print.Inputs), digest(r.Print.Revision), instant(r.Began),
			instant(r.Until), instant(r.At), r.Reason, r.Denials, r.Failures, instant(expires)))
		if err != nil {
			return err
		}
		if err := releaseSecureSession(ctx, tx, k, holder); err != nil {
			return err
		}
		if stands = r; n == 1 {
			return nil
		}
		stands, err = secureSession(ctx, tx, k, time.Unix(0, 0))
		return err
	})
	return stands, err
}

// ReleaseSecureSession ends the holder's lease. Another's stays.
func (t *Tables) ReleaseSecureSession(ctx context.Context, k securesession.Key, holder string) error {
	return t.db.Write(ctx, "release secure session", func(ctx context.Context, tx Tx) error {
		return releaseSecureSession(ctx, tx, k, holder)
	})
}

func releaseSecureSession(ctx context.Context, tx Tx, k securesession.Key, holder string) error {
	_, err := tx.ExecContext(ctx,
		`DELETE FROM secure_leases WHERE bot = ? AND conversation = ? AND holder = ?`, k.Bot, k.Conversation, holder)
	return err
}

// DeleteSecureSession removes the record of a conversation, its lease whoever has it, and
// what its user has signed in for.
func (t *Tables) DeleteSecureSession(ctx context.Context, k securesession.Key) error {
	return t.db.Write(ctx, "delete secure session", func(ctx context.Context, tx Tx) error {
		for _, table := range []string{"secure_sessions", "secure_leases", "grants"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE bot = ? AND conversation = ?`, k.Bot, k.Conversation); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteExpiredSecureSessions forgets records that expired before the given time, as well
// as leases, sign-ins and grants that had ended by then. It tells how many records they
// were.
func (t *Tables) DeleteExpiredSecureSessions(ctx context.Context, before time.Time) (int, error) {
	var n int64
	err := t.db.Write(ctx, "delete secure sessions", func(ctx context.Context, tx Tx) error {
		var err error
		if n, err = affected(tx.ExecContext(ctx, `DELETE FROM secure_sessions WHERE expires < ?`, instant(before))); err != nil {
			return err
		}
		for _, ended := range []string{"secure_leases WHERE until", "sign_ins WHERE expires", "grants WHERE expires"} {
			if _, err = tx.ExecContext(ctx, `DELETE FROM `+ended+` < ?`, instant(before)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}
