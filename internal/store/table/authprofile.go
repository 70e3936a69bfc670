package table

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/carnetproject/carnet/internal/authprofile"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
)

// AddSignIn keeps a sign-in until it expires.
func (t *Tables) AddSignIn(ctx context.Context, s authprofile.SignIn) error {
	return t.db.Write(ctx, "add sign-in", func(ctx context.Context, tx Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO sign_ins (state, browser, bot, conversation, profile, sealed, expires) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			digest(s.State), digest(s.Browser), s.Key.Bot, s.Key.Conversation, s.Profile, s.Sealed, instant(s.Expires))
		return err
	})
}

// TakeSignIn removes and returns a sign-in: of many calls one gets it. A fault of kind
// NotFound says that there is none that has not expired.
func (t *Tables) TakeSignIn(ctx context.Context, state [32]byte, now time.Time) (s authprofile.SignIn, err error) {
	err = t.db.Write(ctx, "take sign-in", func(ctx context.Context, tx Tx) error {
		s = authprofile.SignIn{State: state}
		err := tx.QueryRowContext(ctx, `
			DELETE FROM sign_ins WHERE state = ? AND expires > ?
			RETURNING browser, bot, conversation, profile, sealed, expires`, digest(state), instant(now)).Scan(
			(*digest)(&s.Browser), &s.Key.Bot, &s.Key.Conversation, &s.Profile, &s.Sealed, (*instant)(&s.Expires))
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "there is no such sign-in")
		}
		return err
	})
	return s, err
}

// PutGrant puts g in the place of the grant that a conversation has.
func (t *Tables) PutGrant(ctx context.Context, k securesession.Key, g authprofile.Grant) error {
	return t.db.Write(ctx, "put grant", func(ctx context.Context, tx Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO grants (bot, conversation, profile, hint, sealed, version, expires) VALUES (?, ?, ?, ?, ?, 1, ?)
			ON CONFLICT (bot, conversation) DO UPDATE SET
				profile = excluded.profile, hint = excluded.hint, sealed = excluded.sealed,
				version = grants.version + 1, expires = excluded.expires`,
			k.Bot, k.Conversation, g.Profile, digest(g.Hint), g.Sealed, instant(g.Expires))
		return err
	})
}

// Grant returns the grant of a conversation, or a fault of kind NotFound if it has none
// that has not expired.
func (t *Tables) Grant(ctx context.Context, k securesession.Key, now time.Time) (g authprofile.Grant, err error) {
	err = t.db.Reader().QueryRowContext(ctx, `
		SELECT profile, hint, sealed, version, expires FROM grants WHERE bot = ? AND conversation = ? AND expires > ?`,
		k.Bot, k.Conversation, instant(now)).Scan(&g.Profile, (*digest)(&g.Hint), &g.Sealed, &g.Version, (*instant)(&g.Expires))
	if errors.Is(err, sql.ErrNoRows) {
		return authprofile.Grant{}, fault.New(fault.NotFound, "there is no such grant")
	}
	return g, t.db.Explain("read grant", err)
}

// SwapGrant writes g if its version is still the one that is there, and returns it with
// the next; false if it is not.
func (t *Tables) SwapGrant(ctx context.Context, k securesession.Key, g authprofile.Grant) (authprofile.Grant, bool, error) {
	var n int64
	err := t.db.Write(ctx, "swap grant", func(ctx context.Context, tx Tx) error {
		var err error
		n, err = affected(tx.ExecContext(ctx, `
			UPDATE grants SET profile = ?, hint = ?, sealed = ?, expires = ?, version = version + 1
			WHERE bot = ? AND conversation = ? AND version = ?`,
			g.Profile, digest(g.Hint), g.Sealed, instant(g.Expires), k.Bot, k.Conversation, g.Version))
		return err
	})
	if err != nil || n == 0 {
		return authprofile.Grant{}, false, err
	}
	g.Version++
	return g, true, nil
}

// DeleteGrant removes the grant of a conversation if its version is still the given one;
// false if it is not.
func (t *Tables) DeleteGrant(ctx context.Context, k securesession.Key, version int64) (bool, error) {
	var n int64
	err := t.db.Write(ctx, "delete grant", func(ctx context.Context, tx Tx) error {
		var err error
		n, err = affected(tx.ExecContext(ctx, `DELETE FROM grants WHERE bot = ? AND conversation = ? AND version = ?`, k.Bot, k.Conversation, version))
		return err
	})
	return n > 0, err
}
