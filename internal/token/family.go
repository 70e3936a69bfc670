package token

import (
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/jose"
)

// FamilyID names a refresh family. It is part of every refresh token of the family.
type FamilyID string

// Family is one sign-in that refresh tokens carry on. It is the only row that a
// sign-in leaves: access tokens leave none. Exactly one refresh token of a family
// is good at a time; showing an older one means that a copy is about, and ends
// the family (RFC 9700 §4.14.2).
type Family struct {
	ID        FamilyID
	App       app.ID // empty: signed in without an app
	Subject   string
	Scope     string
	Audience  string
	Algorithm jose.Algorithm // of its access tokens
	Hash      [32]byte       // SHA-256 of the secret part of the good token
	Created   time.Time
	Expires   time.Time // slides with each rotation
	Revoked   time.Time // zero: never
}
