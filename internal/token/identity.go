package token

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/jose"
)

// identityType is the type in the headers of ID tokens. It keeps them from passing as
// access tokens, whose key set they share: clients know one jwks_uri for both.
const identityType = "JWT"

// IdentityRequest says what an ID token is about. App, Subject and AuthTime are required.
type IdentityRequest struct {
	App      app.ID
	Subject  string
	Name     string // what the person is called; empty: that is not for the app to know
	Nonce    string // of the authorization request
	AuthTime time.Time
	Access   string // the access token beside it
}

// identityClaims are OpenID Connect Core §2's and §3.1.3.6's, in the order in which they
// are written.
type identityClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience app.ID   `json:"aud"`
	Expiry   int64    `json:"exp"`
	IssuedAt int64    `json:"iat"`
	AuthTime int64    `json:"auth_time"`
	Nonce    string   `json:"nonce,omitempty"`
	Methods  []string `json:"amr"`
	Access   string   `json:"at_hash,omitempty"`
	Name     string   `json:"preferred_username,omitempty"`
}

// Identity issues an ID token, which tells an app who has signed in. It lives as long as
// an access token.
func (i *Issuer) Identity(ctx context.Context, r IdentityRequest) (string, error) {
	now := i.c.Clock()
	claims := identityClaims{
		Issuer: i.c.Issuer, Subject: r.Subject, Audience: r.App,
		Expiry: now.Add(i.c.AccessTTL).Unix(), IssuedAt: now.Unix(), AuthTime: r.AuthTime.Unix(),
		Nonce: r.Nonce, Methods: []string{"pwd"}, // RFC 8176 §2: there is no other way to sign in
		Name: r.Name,
	}
	if r.Access != "" {
		claims.Access = halfHash(i.c.IdentityAlgorithm, r.Access)
	}
	return i.sign(ctx, AccessSet, i.c.IdentityAlgorithm, identityType, claims)
}

// IdentityAlgorithm is that of ID tokens.
func (i *Issuer) IdentityAlgorithm() jose.Algorithm { return i.c.IdentityAlgorithm }

// halfHash is the left half of the hash that an algorithm has (Core §3.1.3.6).
func halfHash(alg jose.Algorithm, text string) string {
	var sum []byte
	switch alg {
	case jose.RS384, jose.PS384, jose.ES384:
		b := sha512.Sum384([]byte(text))
		sum = b[:]
	case jose.RS512, jose.PS512, jose.ES512, jose.EdDSA:
		b := sha512.Sum512([]byte(text))
		sum = b[:]
	default:
		b := sha256.Sum256([]byte(text))
		sum = b[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
