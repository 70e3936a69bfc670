// Package token issues what Carnet's clients carry: access tokens (RFC 9068),
// the refresh tokens that follow them, and the session tokens of the JWT service.
package token

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/secret"
)

// The key sets that sign. They are apart, so that a session token can never pass
// as an access token.
const (
	AccessSet  key.SetName = "access"
	SessionSet key.SetName = "sts"
)

// The types in the tokens' headers.
const (
	accessType  = "at+jwt" // RFC 9068 §2.1
	sessionType = "JWT"
)

// Itself is the client_id of people who sign in without an app: Carnet's own
// sign-in is the client then (RFC 9068 §2.2 requires one). No app has this ID.
const Itself app.ID = "carnet"

// MaxSubject is the longest subject, in bytes.
const MaxSubject = 256

// keys signs claims with the active key of a set; an empty alg is its first.
type keys interface {
	Sign(ctx context.Context, set key.SetName, alg jose.Algorithm, typ string, claims []byte) (string, error)
}

// apps gives the secret of an app whose session tokens are symmetric.
type apps interface {
	SigningKey(ctx context.Context, a *app.App, now time.Time) (*jose.Key, error)
}

// subjects tells whether the subject of a refresh token may go on.
type subjects interface {
	Active(ctx context.Context, subject string) (bool, error)
}

// revocations tells whose tokens were taken back, and takes tokens back.
type revocations interface {
	Revoked(t revocation.Token) bool
	Add(ctx context.Context, d revocation.Draft) (revocation.Entry, error)
}

// Config requires Issuer, Keys, Apps, Families, Subjects and Revocations, and the three
// lifetimes.
type Config struct {
	Issuer          string        // iss of access tokens
	Audience        string        // aud of access tokens unless a request names one; empty: Issuer
	SessionAudience string        // aud of session tokens unless the app has one; empty: Issuer
	AccessTTL       time.Duration // these are whole seconds, as the tokens count
	RefreshTTL      time.Duration // from the last use
	SessionTTL      time.Duration
	// IdentityAlgorithm is that of ID tokens; empty: RS256, which every client knows
	// (OpenID Connect Core §15.1).
	IdentityAlgorithm jose.Algorithm

	Keys        keys
	Apps        apps
	Families    families
	Subjects    subjects
	Revocations revocations
	// Kept is what of a scope that a person has granted a client in a browser it may still
	// have; nil: all.
	Kept  func(client app.ID, scope string) string
	Next  secret.Bytes     // makes refresh tokens of those before; all nodes have the same; empty: a random one
	Clock func() time.Time // nil: time.Now
}

// Issuer issues and refreshes tokens. It is safe for concurrent use.
type Issuer struct{ c Config }

// New refuses a configuration that could not issue.
func New(c Config) (*Issuer, error) {
	if c.Issuer == "" {
		return nil, errors.New("issuer is empty")
	}
	if c.Keys == nil || c.Apps == nil || c.Families == nil || c.Subjects == nil || c.Revocations == nil {
		return nil, errors.New("keys, apps, families, subjects and revocations are required")
	}
	for name, ttl := range map[string]time.Duration{"access": c.AccessTTL, "refresh": c.RefreshTTL, "session": c.SessionTTL} {
		if ttl < time.Second {
			return nil, fmt.Errorf("lifetime of %s tokens is %v: want at least 1s", name, ttl)
		}
	}
	if c.Audience == "" {
		c.Audience = c.Issuer
	}
	if c.SessionAudience == "" {
		c.SessionAudience = c.Issuer
	}
	if c.IdentityAlgorithm == "" {
		c.IdentityAlgorithm = jose.RS256
	}
	if c.Next.Len() == 0 {
		c.Next = secret.FromString(rand.Text() + rand.Text())
	}
	if c.Kept == nil {
		c.Kept = func(_ app.ID, scope string) string { return scope }
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return &Issuer{c}, nil
}

// AccessRequest says what an access token is about. Subject is required.
type AccessRequest struct {
	App       app.ID         // the client; empty: Itself
	Subject   string         // the app itself for client_credentials
	Scope     string         // as ParseScope returns it; may be empty
	Audience  string         // empty: the configured one
	Algorithm jose.Algorithm // empty: the key set's first
	Expires   time.Time      // when it ends at the latest; zero: as configured
	Actor     *Actor         // who acts for Subject; nil: nobody
	Claims    map[string]any // what else it says; none that it has already
	SignIn    string         // the sign-in, or the id of the token, that it comes from, whose end is its end, too: see [End]; may be empty
}

// Access is an access token and what its receiver needs to know of it.
type Access struct {
	ID        string // jti
	Token     string
	ExpiresIn time.Duration
	Scope     string
}

// accessClaims are RFC 9068 §2.2's, in the order in which they are written.
type accessClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Expiry   int64  `json:"exp"`
	IssuedAt int64  `json:"iat"`
	ID       string `json:"jti"`
	ClientID app.ID `json:"client_id"`
	Scope    string `json:"scope,omitempty"`
	Actor    *Actor `json:"act,omitempty"`
}

// Access issues an access token. It leaves no row.
func (i *Issuer) Access(ctx context.Context, r AccessRequest) (Access, error) {
	if !ValidSubject(r.Subject) {
		return Access{}, badSubject("subject")
	}
	if r.App == "" {
		r.App = Itself
	}
	if r.Audience == "" {
		r.Audience = i.c.Audience
	}
	now, id := i.c.Clock(), rand.Text()
	if r.SignIn != "" {
		id = r.SignIn + "." + id
	}
	expires := now.Add(i.c.AccessTTL)
	if !r.Expires.IsZero() && r.Expires.Before(expires) {
		expires = r.Expires
	}
	claims, err := withClaims(accessClaims{
		Issuer: i.c.Issuer, Subject: r.Subject, Audience: r.Audience,
		Expiry: expires.Unix(), IssuedAt: now.Unix(), ID: id,
		ClientID: r.App, Scope: r.Scope, Actor: r.Actor,
	}, r.Claims)
	if err != nil {
		return Access{}, fmt.Errorf("write claims: %w", err)
	}
	signed, err := i.sign(ctx, AccessSet, r.Algorithm, accessType, claims)
	if err != nil {
		return Access{}, err
	}
	return Access{ID: id, Token: signed, ExpiresIn: expires.Sub(now).Truncate(time.Second), Scope: r.Scope}, nil
}

// withClaims is claims with more of them behind.
func withClaims(claims accessClaims, more map[string]any) (any, error) {
	if len(more) == 0 {
		return claims, nil
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	rest, err := json.Marshal(more)
	if err != nil {
		return nil, err
	}
	return json.RawMessage(append(append(text[:len(text)-1], ','), rest[1:]...)), nil
}

func (i *Issuer) sign(ctx context.Context, set key.SetName, alg jose.Algorithm, typ string, claims any) (string, error) {
	text, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("write claims: %w", err)
	}
	signed, err := i.c.Keys.Sign(ctx, set, alg, typ, text)
	if err != nil {
		return "", fmt.Errorf("sign with set %s: %w", set, err)
	}
	return signed, nil
}

// ValidSubject tells whether s may be a sub: 1 to [MaxSubject] bytes of UTF-8
// without control characters. U+FFFD is refused: it is what a decoder makes of
// broken text, and two people must not become one by being broken alike.
func ValidSubject(s string) bool {
	return s != "" && len(s) <= MaxSubject && utf8.ValidString(s) && !strings.ContainsRune(s, utf8.RuneError) &&
		!strings.ContainsFunc(s, unicode.IsControl)
}

func badSubject(field string) error {
	return fault.BadField(field, fmt.Sprintf("must be 1 to %d bytes of UTF-8 without control characters", MaxSubject))
}
