package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/secret"
)

// ErrReplay is in the chain of the refusal of what was used already: somebody else has it.
var ErrReplay = errors.New("used before")

// ErrGrant is in the chain of every refusal of a refresh token or a code: OAuth's
// invalid_grant. Why it was refused is for the log.
var ErrGrant = errors.New("grant refused")

// families is the part of the store that refreshing needs.
type families interface {
	AddFamily(ctx context.Context, f Family) error
	Family(ctx context.Context, id FamilyID) (Family, error) // fault.NotFound
	// RotateFamily replaces the hash old by next and the expiry, unless the
	// family's hash is another by now, or it is revoked or expired at now.
	RotateFamily(ctx context.Context, id FamilyID, old, next [32]byte, expires, now time.Time) (bool, error)
	RevokeFamily(ctx context.Context, id FamilyID, now time.Time) error
}

// Pair is an access token with the refresh token for the next one.
type Pair struct {
	Access
	Refresh secret.Bytes
}

// SignIn issues the first pair of a new family.
func (i *Issuer) SignIn(ctx context.Context, r AccessRequest) (Pair, error) {
	p, f, err := i.Begin(ctx, r)
	if err != nil {
		return Pair{}, err
	}
	if err := i.c.Families.AddFamily(ctx, f); err != nil {
		return Pair{}, fmt.Errorf("add refresh family: %w", err)
	}
	return p, nil
}

// Begin issues the first pair of a family that the caller has to add: until then the
// refresh token is not good.
func (i *Issuer) Begin(ctx context.Context, r AccessRequest) (Pair, Family, error) {
	t := newRefresh()
	r.SignIn = t.id().SignIn()
	access, err := i.Access(ctx, r)
	if err != nil {
		return Pair{}, Family{}, err
	}
	now := i.c.Clock()
	return Pair{Access: access, Refresh: t.text()}, Family{
		ID: t.id(), App: r.App, Subject: r.Subject, Scope: r.Scope, Audience: r.Audience, Algorithm: r.Algorithm,
		Hash: t.hash(), Created: now, Expires: now.Add(i.c.RefreshTTL),
	}, nil
}

// Refresh gives a new pair for a refresh token, which is good no more. The scope
// of the access token may be less than the family's; empty means all of it.
//
// A token that is not the family's newest one is a copy, or the other is: nobody
// can tell, so the family ends (RFC 9700 §4.14.2). But the answer may have been lost: for
// [Grace] the token before the newest one gets the newest one again, which is the same
// for all who show it.
func (i *Issuer) Refresh(ctx context.Context, token secret.Bytes, client app.ID, scope string) (Pair, error) {
	old, ok := parseRefresh(token)
	if !ok {
		return Pair{}, refuse("is malformed")
	}
	f, err := i.family(ctx, old.id())
	if err != nil {
		return Pair{}, err
	}
	now, next := i.c.Clock(), old.next(i.c.Next)
	if err := i.check(ctx, f, old, next, client, now); err != nil {
		return Pair{}, err
	}
	granted, left := i.kept(f)
	if !left {
		return Pair{}, refuse("is for nothing that the client may still have")
	}
	if scope != "" {
		if granted, err = Grant(scope, strings.Fields(granted)); err != nil {
			return Pair{}, err
		}
	}
	// Signed before the old token ends: a node that cannot sign right now must
	// not take the client's refresh token from it.
	access, err := i.Access(ctx, AccessRequest{
		App: f.App, Subject: f.Subject, Scope: granted, Audience: f.Audience, Algorithm: f.Algorithm,
		SignIn: f.ID.SignIn(),
	})
	if err != nil {
		return Pair{}, err
	}
	won, err := i.c.Families.RotateFamily(ctx, f.ID, old.hash(), next.hash(), now.Add(i.c.RefreshTTL), now)
	if err != nil {
		return Pair{}, fmt.Errorf("rotate refresh family: %w", err)
	}
	if !won { // somebody was before us, with the same token or with a newer one
		if f, err = i.family(ctx, old.id()); err != nil {
			return Pair{}, err
		}
		if err := i.check(ctx, f, old, next, client, now); err != nil {
			return Pair{}, err
		}
	}
	return Pair{Access: access, Refresh: next.text()}, nil
}

func (i *Issuer) family(ctx context.Context, id FamilyID) (Family, error) {
	f, err := i.c.Families.Family(ctx, id)
	if fault.KindOf(err) == fault.NotFound {
		return Family{}, refuse("is of no family")
	}
	if err != nil {
		return Family{}, fmt.Errorf("find refresh family: %w", err)
	}
	return f, nil
}

// check tells whether the token is the good one of the family, or next has lately become
// that one, and the family's subject may go on.
func (i *Issuer) check(ctx context.Context, f Family, t, next refresh, client app.ID, now time.Time) error {
	switch {
	case f.App != client:
		return refuse("is another client's")
	case !f.Revoked.IsZero():
		return refuse("is revoked")
	case !now.Before(f.Expires):
		return refuse("has expired")
	case !f.holds(t) && !(f.holds(next) && now.Before(f.Rotated.Add(Grace))):
		return i.reused(ctx, f.ID, now)
	case i.revoked(f):
		return refuse("is of a sign-in that was revoked")
	}
	active, err := i.c.Subjects.Active(ctx, f.Subject)
	if err != nil {
		return fmt.Errorf("look at subject: %w", err)
	}
	if !active {
		return refuse("is of a subject who may not go on")
	}
	return nil
}

// kept is what of the family's scope its app may still have; false if there was some, and
// nothing is left. A sign-in without the consent of a person in a browser (/login) has what
// it began with.
func (i *Issuer) kept(f Family) (scope string, left bool) {
	if f.Session == "" {
		return f.Scope, true
	}
	scope = i.c.Kept(f.App, f.Scope)
	return scope, scope != "" || f.Scope == ""
}

// revoked tells whether a token that was issued when the family began would be refused
// now. The family itself stays: the revocation may be removed.
func (i *Issuer) revoked(f Family) bool {
	return i.c.Revocations.Revoked(revocation.Token{
		SignIn: f.ID.SignIn(), Issuer: i.c.Issuer, Subject: f.Subject, App: string(cmp.Or(f.App, Itself)), IssuedAt: f.Created,
	})
}

// reused ends the family. Only if that cannot be stored is the error another one
// than ErrGrant.
func (i *Issuer) reused(ctx context.Context, id FamilyID, now time.Time) error {
	// The caller may hang up; the family must end all the same.
	if err := i.end(context.WithoutCancel(ctx), id, now, "a refresh token was used twice"); err != nil {
		return err
	}
	return fmt.Errorf("%w: %w", refuse("was used before: its family is revoked"), ErrReplay)
}

// end ends a family, with its access tokens.
func (i *Issuer) end(ctx context.Context, id FamilyID, now time.Time, reason string) error {
	if err := i.c.Families.RevokeFamily(ctx, id, now); err != nil {
		return fmt.Errorf("revoke refresh family: %w", err)
	}
	return End(ctx, i.c.Revocations, id.SignIn(), reason)
}

// Revoke ends the family of a refresh token, with its access tokens. A token of no family
// is not an error (RFC 7009 §2.2).
func (i *Issuer) Revoke(ctx context.Context, token secret.Bytes, client app.ID) error {
	t, ok := parseRefresh(token)
	if !ok {
		return nil
	}
	f, err := i.c.Families.Family(ctx, t.id())
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find refresh family: %w", err)
	}
	if f.App != client {
		return refuse("is another client's")
	}
	return i.end(ctx, f.ID, i.c.Clock(), "the client has revoked its refresh token")
}

func refuse(why string) error {
	return fault.Wrap(fault.Unauthenticated, "the refresh token is not good", fmt.Errorf("%w: it %s", ErrGrant, why))
}
