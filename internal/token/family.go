package token

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/revocation"
)

// Grace is how long the refresh token before the good one is answered again: a client
// that lost the answer tries again when its time is out.
const Grace = 30 * time.Second

// FamilyID names a refresh family. It is part of every refresh token of the family, so
// that nobody else may know it.
type FamilyID string

// SignIn is what the ids of the family's access tokens begin with: a name of the family
// that those who get its access tokens may know.
func (id FamilyID) SignIn() string {
	sum := sha256.Sum256([]byte(id))
	return base64.RawURLEncoding.EncodeToString(sum[:15])
}

// Family is one sign-in that refresh tokens carry on. It is the only row that a
// sign-in leaves: access tokens leave none. Exactly one refresh token of a family
// is good at a time; showing an older one means that a copy is about, and ends
// the family (RFC 9700 §4.14.2), but see [Grace].
type Family struct {
	ID        FamilyID
	App       app.ID // empty: signed in without an app
	Session   string // of the browser in which it began; empty: none
	Subject   string
	Scope     string
	Audience  string
	Algorithm jose.Algorithm // of its access tokens
	Hash      [32]byte       // SHA-256 of the secret part of the good token
	Created   time.Time
	Expires   time.Time // slides with each rotation
	Rotated   time.Time // when the good token was made of the one before; zero: it is the first
	Revoked   time.Time // zero: never
}

// holds tells whether t is the family's good token.
func (f *Family) holds(t refresh) bool {
	hash := t.hash()
	return subtle.ConstantTimeCompare(hash[:], f.Hash[:]) == 1
}

// End takes back the access tokens of a sign-in: of a family by [FamilyID.SignIn], or of
// a session by its id. reason is for those who list revocations.
func End(ctx context.Context, list interface {
	Add(ctx context.Context, d revocation.Draft) (revocation.Entry, error)
}, signIn, reason string,
) error {
	target := revocation.Target{Kind: revocation.ByToken, Name: signIn}
	if _, err := list.Add(ctx, revocation.Draft{Target: target, Reason: reason, By: string(Itself)}); err != nil {
		return fmt.Errorf("take back access tokens: %w", err)
	}
	return nil
}
