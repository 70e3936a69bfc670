package signin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/token"
	"github.com/carnetproject/carnet/internal/user"
)

// sessions is what the store does for browsers.
type sessions interface {
	// PutSession keeps s, in the place of the session that has its ID.
	PutSession(ctx context.Context, s Session) error
	Session(ctx context.Context, hash [32]byte, now time.Time) (Session, error) // fault.NotFound
	// Sessions returns those of a subject that have not expired, the newest first.
	Sessions(ctx context.Context, subject string, now time.Time) ([]Session, error)
	// DeleteSession removes a session, with its codes.
	DeleteSession(ctx context.Context, id string) error
}

// families is what it does for sign-ins that refresh tokens carry on.
type families interface {
	// Families returns those of a subject that are good, up to limit, the one that was
	// used last first.
	Families(ctx context.Context, subject string, now time.Time, limit int) ([]token.Family, error)
	RevokeFamily(ctx context.Context, id token.FamilyID, now time.Time) error
	// RevokeFamiliesOf ends those of a subject, but those that began in the session but, if
	// that is not empty.
	RevokeFamiliesOf(ctx context.Context, subject, but string, now time.Time) error
}

// store is what a [Book] needs.
type store interface {
	sessions
	families
	codes
	consents
}

// revocations knows and takes what tokens are refused.
type revocations interface {
	Revoked(t revocation.Token) bool
	Add(ctx context.Context, d revocation.Draft) (revocation.Entry, error)
}

// Config requires all but Clock.
type Config struct {
	Issuer      string // iss of access tokens
	Store       store
	Revocations revocations
	Key         secret.Bytes     // of the marks of browsers; all nodes have the same
	Life        time.Duration    // of a session
	Clock       func() time.Time // nil: time.Now
}

// Book is where it stands who is signed in. It is safe for concurrent use, and holds
// nothing: what one node writes, all read.
type Book struct{ c Config }

// New returns a book.
func New(c Config) *Book {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return &Book{c}
}

// Life is how long a session lasts.
func (b *Book) Life() time.Duration { return b.c.Life }

// Begin signs a person in, in the browser that old is the session of; zero: in one where
// nobody is. The cookie that it returns is another one each time, so that nobody can have
// given it to the browser before.
func (b *Book) Begin(ctx context.Context, u user.User, from Place, old Session) (Session, secret.Bytes, error) {
	cookie := newSecret()
	now := b.c.Clock()
	s := Session{
		ID: strings.ToLower(rand.Text()), Hash: hashOf(cookie), Subject: string(u.ID), Name: u.Name, Scopes: u.Scopes, Place: from,
		Created: now, Expires: now.Add(b.c.Life),
	}
	if old.Subject == s.Subject {
		s.ID = old.ID // and all that hangs on it
	} else if old.ID != "" {
		if err := b.c.Store.DeleteSession(ctx, old.ID); err != nil {
			return Session{}, secret.Bytes{}, fmt.Errorf("end session of another: %w", err)
		}
	}
	if err := b.c.Store.PutSession(ctx, s); err != nil {
		return Session{}, secret.Bytes{}, fmt.Errorf("add session: %w", err)
	}
	return s, cookie, nil
}

// Find returns the session of a cookie; [fault.Unauthenticated] if there is none, or none
// any more.
func (b *Book) Find(ctx context.Context, cookie secret.Bytes) (Session, error) {
	s, err := b.c.Store.Session(ctx, hashOf(cookie), b.c.Clock())
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return Session{}, errNobody
	case err != nil:
		return Session{}, fmt.Errorf("find session: %w", err)
	case b.c.Revocations.Revoked(revocation.Token{Issuer: b.c.Issuer, Subject: s.Subject, App: string(token.Itself), IssuedAt: s.Created}):
		return Session{}, errNobody
	}
	return s, nil
}

var errNobody = fault.New(fault.Unauthenticated, "nobody is signed in here")

// maxFamilies is how many sign-ins at apps are looked at: more than anybody begins in
// the life of an access token.
const maxFamilies = 500

// SignIn is a place where a person is signed in: a browser, or an app.
type SignIn struct {
	ID      string // for [Book.End]
	Session bool   // a browser
	App     app.ID // of an app; empty: token.Itself
	Place   Place  // of a browser
	Created time.Time
	Expires time.Time
}

// List returns where a subject is signed in: browsers first, the newest first.
func (b *Book) List(ctx context.Context, subject string) ([]SignIn, error) {
	sessions, families, err := b.of(ctx, subject)
	if err != nil {
		return nil, err
	}
	all := make([]SignIn, 0, len(sessions)+len(families))
	for _, s := range sessions {
		all = append(all, SignIn{ID: s.ID, Session: true, Place: s.Place, Created: s.Created, Expires: s.Expires})
	}
	for _, f := range families {
		all = append(all, SignIn{ID: f.ID.SignIn(), App: f.App, Created: f.Created, Expires: f.Expires})
	}
	return all, nil
}

func (b *Book) of(ctx context.Context, subject string) ([]Session, []token.Family, error) {
	now := b.c.Clock()
	sessions, err := b.c.Store.Sessions(ctx, subject, now)
	if err != nil {
		return nil, nil, fmt.Errorf("list sessions: %w", err)
	}
	families, err := b.c.Store.Families(ctx, subject, now, maxFamilies)
	if err != nil {
		return nil, nil, fmt.Errorf("list refresh families: %w", err)
	}
	return sessions, families, nil
}

// End signs a subject out of one place; out of a browser, also of the apps that they
// signed in to there. An app is forgotten what the person lets it do: also one that is
// signed in nowhere, by its own id. An id that is none of the subject's is [fault.NotFound].
func (b *Book) End(ctx context.Context, subject, id string) error {
	found := false
	sessions, families, err := b.of(ctx, subject)
	if err != nil {
		return err
	}
	for _, s := range sessions {
		if s.ID == id {
			found = true
			err = errors.Join(err, b.endSession(ctx, s))
		}
	}
	for _, f := range families {
		if f.ID.SignIn() == id {
			found = true
			err = errors.Join(err, b.endFamily(ctx, f), b.forget(ctx, subject, f.App))
		} else if f.Session == id {
			err = errors.Join(err, b.endFamily(ctx, f))
		}
	}
	if !found {
		return b.withdraw(ctx, subject, app.ID(id))
	}
	return err
}

// EndOthers signs a person out everywhere but in the browser of s, and the apps that they
// signed in to there.
func (b *Book) EndOthers(ctx context.Context, s Session) error {
	sessions, families, err := b.of(ctx, s.Subject)
	if err != nil {
		return err
	}
	if err := b.c.Store.RevokeFamiliesOf(ctx, s.Subject, s.ID, b.c.Clock()); err != nil {
		return fmt.Errorf("revoke refresh families: %w", err)
	}
	for _, o := range slices.DeleteFunc(sessions, func(o Session) bool { return o.ID == s.ID }) {
		err = errors.Join(err, b.endSession(ctx, o))
	}
	for _, f := range slices.DeleteFunc(families, func(f token.Family) bool { return f.Session == s.ID }) {
		err = errors.Join(err, token.End(ctx, b.c.Revocations, f.ID.SignIn(), signedOut))
	}
	return err
}

// EndAll signs a subject out everywhere.
func (b *Book) EndAll(ctx context.Context, subject string) error {
	sessions, families, err := b.of(ctx, subject)
	if err != nil {
		return err
	}
	if err := b.c.Store.RevokeFamiliesOf(ctx, subject, "", b.c.Clock()); err != nil {
		return fmt.Errorf("revoke refresh families: %w", err)
	}
	for _, s := range sessions {
		err = errors.Join(err, b.endSession(ctx, s))
	}
	for _, f := range families {
		err = errors.Join(err, token.End(ctx, b.c.Revocations, f.ID.SignIn(), signedOut))
	}
	return err
}

// signedOut is why access tokens are taken back, for those who list revocations.
const signedOut = "signed out"

func (b *Book) endSession(ctx context.Context, s Session) error {
	if err := b.c.Store.DeleteSession(ctx, s.ID); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return token.End(ctx, b.c.Revocations, s.ID, signedOut)
}

func (b *Book) endFamily(ctx context.Context, f token.Family) error {
	if err := b.c.Store.RevokeFamily(ctx, f.ID, b.c.Clock()); err != nil {
		return fmt.Errorf("revoke refresh family: %w", err)
	}
	return token.End(ctx, b.c.Revocations, f.ID.SignIn(), signedOut)
}
