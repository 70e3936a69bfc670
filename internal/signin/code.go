package signin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/token"
)

// CodeLife is how long a code is good: for as long as a browser and an app need to hand
// it over (RFC 6749 §4.1.2 allows ten minutes).
const CodeLife = time.Minute

// codes is what the store does for codes.
type codes interface {
	AddCode(ctx context.Context, c Code) error
	Code(ctx context.Context, hash [32]byte) (Code, error) // fault.NotFound
	// UseCode notes what is given for a code, and adds the family if there is one; false,
	// and nothing is done, if the code was used before or has expired at now.
	UseCode(ctx context.Context, hash [32]byte, given string, f *token.Family, now time.Time) (bool, error)
}

// Request is what an app asks of a person, and they allow.
type Request struct {
	App         app.ID
	RedirectURI string // empty: it named none
	Scope       string
	Nonce       string
	Challenge   string
}

// Authorize makes a code.
func (b *Book) Authorize(ctx context.Context, s Session, r Request) (secret.Bytes, error) {
	code := newSecret()
	err := b.c.Store.AddCode(ctx, Code{
		Hash: hashOf(code), App: r.App, Session: s.ID, Subject: s.Subject, Name: s.Name,
		Scope: r.Scope, RedirectURI: r.RedirectURI, Challenge: r.Challenge, Nonce: r.Nonce,
		AuthTime: s.Created, Expires: b.c.Clock().Add(CodeLife),
	})
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("add code: %w", err)
	}
	return code, nil
}

// Redemption is what an app shows to get tokens.
type Redemption struct {
	Code        secret.Bytes
	App         app.ID
	RedirectURI string
	Verifier    string // RFC 7636 §4.1
}

// Redeem returns the code that an app shows, if it is the app's and good. It is used only
// with [Book.Use]. A refusal has [token.ErrGrant] in its chain; the code stays good for
// the one who can show all that it takes.
func (b *Book) Redeem(ctx context.Context, r Redemption) (Code, error) {
	c, err := b.c.Store.Code(ctx, hashOf(r.Code))
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return Code{}, refuse("is unknown")
	case err != nil:
		return Code{}, fmt.Errorf("find code: %w", err)
	case c.App != r.App:
		return Code{}, refuse("is another client's")
	case !c.Used.IsZero():
		return Code{}, b.replayed(ctx, c)
	case !b.c.Clock().Before(c.Expires):
		return Code{}, refuse("has expired")
	case b.revoked(c):
		return Code{}, refuse("is of a sign-in that was revoked")
	case c.RedirectURI != r.RedirectURI:
		return Code{}, refuse("was sent to another redirect_uri")
	case !Proves(r.Verifier, c.Challenge):
		return Code{}, refuse("is not of this code_verifier")
	}
	return c, nil
}

// revoked tells whether a token that was issued when the code was made would be refused
// now: else what is taken back would come back by the code.
func (b *Book) revoked(c Code) bool {
	return b.c.Revocations.Revoked(revocation.Token{
		SignIn: c.Session, Issuer: b.c.Issuer, Subject: c.Subject, App: string(c.App), IssuedAt: c.Expires.Add(-CodeLife),
	})
}

// Use ends a code. For it are given the tokens of the family f or, if that is nil, the
// one access token. Of many calls for one code one succeeds.
func (b *Book) Use(ctx context.Context, c Code, t token.Access, f *token.Family) error {
	given := t.ID
	if f != nil {
		given, f.Session = f.ID.SignIn(), c.Session
	}
	won, err := b.c.Store.UseCode(ctx, c.Hash, given, f, b.c.Clock())
	if err != nil {
		return fmt.Errorf("use code: %w", err)
	}
	if won {
		return nil
	}
	switch used, err := b.c.Store.Code(ctx, c.Hash); {
	case fault.KindOf(err) == fault.NotFound:
		return refuse("is of a session that has ended meanwhile")
	case err != nil:
		return fmt.Errorf("find used code: %w", err)
	case used.Used.IsZero():
		return refuse("has expired meanwhile")
	default:
		return b.replayed(ctx, used)
	}
}

// replayed ends what was given for a code that is shown again: one of the two who have
// it has stolen it.
func (b *Book) replayed(ctx context.Context, c Code) error {
	ctx = context.WithoutCancel(ctx) // the caller may hang up
	const reason = "an authorization code was used twice"
	var err error
	if c.Family != "" {
		err = b.c.Store.RevokeFamily(ctx, c.Family, b.c.Clock())
	}
	if err = errors.Join(err, token.End(ctx, b.c.Revocations, c.Given, reason)); err != nil {
		return fmt.Errorf("end what a code was used for: %w", err)
	}
	return fmt.Errorf("%w: %w", refuse("was used before: what was given for it is revoked"), token.ErrReplay)
}

// Proves tells whether a code verifier is the one of an S256 challenge (RFC 7636 §4.6).
func Proves(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 || strings.Trim(verifier, verifierChars) != "" {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// verifierChars are RFC 7636 §4.1's.
const verifierChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// ValidChallenge tells whether a text may be an S256 challenge.
func ValidChallenge(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == sha256.Size && len(s) == base64.RawURLEncoding.EncodedLen(sha256.Size)
}

func refuse(why string) error {
	return fault.Wrap(fault.Unauthenticated, "the code is not good", fmt.Errorf("%w: the code %s", token.ErrGrant, why))
}
