package table

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/signin"
	"github.com/carnetproject/carnet/internal/token"
)

// PutSession keeps a browser's session, in the place of the one that has its id.
func (t *Tables) PutSession(ctx context.Context, s signin.Session) error {
	return t.db.Write(ctx, "put session", func(ctx context.Context, tx Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO browser_sessions (id, hash, subject, name, scopes, agent, network, created, expires)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET
				hash = excluded.hash, subject = excluded.subject, name = excluded.name, scopes = excluded.scopes,
				agent = excluded.agent, network = excluded.network, created = excluded.created, expires = excluded.expires`,
			s.ID, digest(s.Hash), s.Subject, s.Name, List[string](s.Scopes), s.Place.Agent, s.Place.Network,
			Stamp(s.Created), Stamp(s.Expires))
		return err
	})
}

const selectSession = `SELECT id, hash, subject, name, scopes, agent, network, created, expires FROM browser_sessions`

func scanSession(r Rows) (s signin.Session, err error) {
	err = r.Scan(&s.ID, (*digest)(&s.Hash), &s.Subject, &s.Name, (*List[string])(&s.Scopes), &s.Place.Agent, &s.Place.Network,
		(*Stamp)(&s.Created), (*Stamp)(&s.Expires))
	return s, err
}

// Session returns the session of a cookie, by its hash, or a fault of kind NotFound if
// there is none that has not expired.
func (t *Tables) Session(ctx context.Context, hash [32]byte, now time.Time) (signin.Session, error) {
	s, err := scanSession(t.db.Reader().QueryRowContext(ctx, selectSession+` WHERE hash = ? AND expires > ?`, digest(hash), Stamp(now)))
	if errors.Is(err, sql.ErrNoRows) {
		return signin.Session{}, fault.New(fault.NotFound, "no such session")
	}
	return s, t.db.Explain("read session", err)
}

// Sessions returns those of a subject that have not expired, the newest first.
func (t *Tables) Sessions(ctx context.Context, subject string, now time.Time) ([]signin.Session, error) {
	return collect(ctx, t, t.db.Reader(), "read sessions", scanSession,
		selectSession+` WHERE subject = ? AND expires > ? ORDER BY created DESC, id`, subject, Stamp(now))
}

// DeleteSession removes a session, with its codes.
func (t *Tables) DeleteSession(ctx context.Context, id string) error {
	return t.db.Write(ctx, "delete session", func(ctx context.Context, tx Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM codes WHERE session = ?`, id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM browser_sessions WHERE id = ?`, id)
		return err
	})
}

// AddCode keeps an authorization code. A session that has ended gets none: that is a
// fault of kind NotFound.
func (t *Tables) AddCode(ctx context.Context, c signin.Code) error {
	return t.db.Write(ctx, "add code", func(ctx context.Context, tx Tx) error {
		n, err := affected(tx.ExecContext(ctx, `
			INSERT INTO codes (hash, app, session, subject, name, scope, redirect_uri, challenge, nonce, auth_time, expires)
			SELECT ?1, ?2, id, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 FROM browser_sessions WHERE id = ?3`,
			digest(c.Hash), c.App, c.Session, c.Subject, c.Name, c.Scope, c.RedirectURI, c.Challenge, c.Nonce,
			Stamp(c.AuthTime), Stamp(c.Expires)))
		if err == nil && n == 0 {
			return fault.New(fault.NotFound, "no such session")
		}
		return err
	})
}

// Code returns the code of a hash, used and expired ones too, or a fault of kind NotFound.
func (t *Tables) Code(ctx context.Context, hash [32]byte) (signin.Code, error) {
	c := signin.Code{Hash: hash}
	err := t.db.Reader().QueryRowContext(ctx, `
		SELECT app, session, subject, name, scope, redirect_uri, challenge, nonce, auth_time, expires, used, given, family
		FROM codes WHERE hash = ?`, digest(hash)).Scan(
		&c.App, &c.Session, &c.Subject, &c.Name, &c.Scope, &c.RedirectURI, &c.Challenge, &c.Nonce,
		(*Stamp)(&c.AuthTime), (*Stamp)(&c.Expires), (*Stamp)(&c.Used), &c.Given, &c.Family)
	if errors.Is(err, sql.ErrNoRows) {
		return signin.Code{}, fault.New(fault.NotFound, "no such code")
	}
	return c, t.db.Explain("read code", err)
}

// UseCode notes what is given for a code, and adds the family if there is one. It is
// false, and nothing is done, if the code is not there, was used before or has expired at
// now. Of many calls for one code exactly one gets true.
func (t *Tables) UseCode(ctx context.Context, hash [32]byte, given string, f *token.Family, now time.Time) (bool, error) {
	var n int64
	err := t.db.Write(ctx, "use code", func(ctx context.Context, tx Tx) (err error) {
		var family token.FamilyID
		if f != nil {
			family = f.ID
		}
		n, err = affected(tx.ExecContext(ctx, `
			UPDATE codes SET used = ?, given = ?, family = ? WHERE hash = ? AND used IS NULL AND expires > ?`,
			Stamp(now), given, family, digest(hash), Stamp(now)))
		if err != nil || n == 0 || f == nil {
			return err
		}
		return t.addFamily(ctx, tx, f)
	})
	return err == nil && n == 1, err
}

// Consent returns what a person lets an app do, or a fault of kind NotFound.
func (t *Tables) Consent(ctx context.Context, subject string, a app.ID) (signin.Consent, error) {
	c := signin.Consent{Subject: subject, App: a}
	err := t.db.Reader().QueryRowContext(ctx, `SELECT scope, given FROM consents WHERE subject = ? AND app = ?`, subject, a).Scan(
		&c.Scope, (*Stamp)(&c.Given))
	if errors.Is(err, sql.ErrNoRows) {
		return signin.Consent{}, fault.New(fault.NotFound, "no such consent")
	}
	return c, t.db.Explain("read consent", err)
}

// Consents returns what a person lets apps do, what they said last first.
func (t *Tables) Consents(ctx context.Context, subject string) ([]signin.Consent, error) {
	scan := func(r Rows) (c signin.Consent, err error) {
		return c, r.Scan(&c.Subject, &c.App, &c.Scope, (*Stamp)(&c.Given))
	}
	return collect(ctx, t, t.db.Reader(), "read consents", scan,
		`SELECT subject, app, scope, given FROM consents WHERE subject = ? ORDER BY given DESC, app`, subject)
}

// PutConsent keeps c in the place of what the person let the app do before.
func (t *Tables) PutConsent(ctx context.Context, c signin.Consent) error {
	return t.db.Write(ctx, "put consent", func(ctx context.Context, tx Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO consents (subject, app, scope, given) VALUES (?, ?, ?, ?)
			ON CONFLICT (subject, app) DO UPDATE SET scope = excluded.scope, given = excluded.given`,
			c.Subject, c.App, c.Scope, Stamp(c.Given))
		return err
	})
}

// DeleteConsent forgets what a person lets an app do.
func (t *Tables) DeleteConsent(ctx context.Context, subject string, a app.ID) error {
	return t.db.Write(ctx, "delete consent", func(ctx context.Context, tx Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM consents WHERE subject = ? AND app = ?`, subject, a)
		return err
	})
}

// DeleteExpiredSessions forgets the sessions and codes that expired before the given
// time, and tells how many they were.
func (t *Tables) DeleteExpiredSessions(ctx context.Context, before time.Time) (int, error) {
	var n int64
	err := t.db.Write(ctx, "delete sessions", func(ctx context.Context, tx Tx) error {
		n = 0
		for _, expired := range []string{`DELETE FROM codes WHERE expires < ?`, `DELETE FROM browser_sessions WHERE expires < ?`} {
			one, err := affected(tx.ExecContext(ctx, expired, Stamp(before)))
			if err != nil {
				return err
			}
			n += one
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}
