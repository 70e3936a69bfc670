package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/key"
)

// roles tells what a user may do.
type roles interface {
	Roles(ctx context.Context, user string) (Profile, error)
}

// RefresherConfig requires Issuer, one of Keys and Secret, Signer, Set and the two
// validities.
type RefresherConfig struct {
	Issuer string           // Keycloak's realm: the iss of its tokens, and of ours
	Keys   carnet.KeySource // of the realm's RS256 tokens, which name their key
	Secret *carnet.Key      // of its HS256 ones

	Signer keys
	Set    key.SetName

	OfflineValidity time.Duration // of an offline token, from its iat: such tokens have no end of their own
	AccessValidity  time.Duration // of what is issued, and never beyond the refresh token's

	Roles roles        // nil: everybody has the role PUBLIC alone
	Log   *slog.Logger // nil: nothing is logged
	Clock func() time.Time
}

// Refresher gives access tokens for the refresh tokens that Keycloak issues. It does
// not ask Keycloak: a session that was ended there is refused only when its refresh
// token ends. It is safe for concurrent use.
type Refresher struct {
	c        RefresherConfig
	verifier *carnet.Verifier
}

// NewRefresher checks the configuration.
func NewRefresher(c RefresherConfig) (*Refresher, error) {
	switch {
	case c.Issuer == "" || c.Signer == nil || c.Set == "":
		return nil, errors.New("issuer, signer and key set are required")
	case c.Keys == nil && c.Secret == nil:
		return nil, errors.New("keys or a secret of the issuer are required")
	case c.Secret != nil && c.Secret.Algorithm() != "HS256":
		return nil, fmt.Errorf("the secret of the issuer is for %s: want HS256", c.Secret.Algorithm())
	case c.OfflineValidity <= 0 || c.AccessValidity <= 0:
		return nil, errors.New("validities must be longer than nothing")
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	// The claims are Keycloak's own, and checked by hand below.
	v, err := carnet.NewVerifier(carnet.VerifierConfig{Keys: &realmKeys{c.Keys, c.Secret}, Policy: carnet.SignatureOnly(), Clock: c.Clock})
	if err != nil {
		return nil, err
	}
	return &Refresher{c, v}, nil
}

// Refreshed is an access token and how much longer it and its refresh token live.
type Refreshed struct {
	Token     string
	ExpiresIn time.Duration
	Refresh   time.Duration // zero for an offline token
}

// Refresh returns an access token for the holder of a refresh token. Whatever is
// wrong with the token is one fault of kind Invalid; the hidden cause says what it
// is, and nothing of the token.
func (r *Refresher) Refresh(ctx context.Context, token string) (Refreshed, error) {
	t, err := r.verifier.Verify(ctx, token)
	if errors.Is(err, carnet.ErrKeysUnavailable) {
		return Refreshed{}, fault.Wrap(fault.Unavailable, "the keys of the issuer cannot be fetched", err)
	}
	if err != nil {
		return Refreshed{}, notGood(err)
	}
	now := r.c.Clock()
	ends, offline, err := r.check(t, now)
	if err != nil {
		return Refreshed{}, notGood(err)
	}
	c := accessClaims{
		Expiry: min(now.Add(r.c.AccessValidity).Unix(), ends), IssuedAt: now.Unix(),
		Issuer: r.c.Issuer, Subject: t.Subject(), Type: "Bearer",
	}
	if t.HasClaim("aud") {
		if err := t.Claim("aud", &c.Audience); err != nil {
			return Refreshed{}, notGood(err)
		}
	}
	p := r.profile(ctx, t.Subject())
	c.Roles, c.Name = p.Roles, p.Name
	text, err := json.Marshal(c)
	if err != nil {
		return Refreshed{}, fmt.Errorf("write claims: %w", err)
	}
	signed, err := r.c.Signer.Sign(ctx, r.c.Set, "", "JWT", text)
	if err != nil {
		return Refreshed{}, fmt.Errorf("sign access token: %w", err)
	}
	out := Refreshed{Token: signed, ExpiresIn: time.Duration(c.Expiry-c.IssuedAt) * time.Second}
	if !offline {
		out.Refresh = time.Duration(ends-c.IssuedAt) * time.Second
	}
	return out, nil
}

// accessClaims are those that Sunbird's services read.
type accessClaims struct {
	Expiry   int64           `json:"exp"`
	IssuedAt int64           `json:"iat"`
	Issuer   string          `json:"iss"`
	Audience json.RawMessage `json:"aud,omitempty"`
	Subject  string          `json:"sub"`
	Type     string          `json:"typ"`
	Roles    []Role          `json:"roles"`
	Name     string          `json:"name,omitempty"`
}

func notGood(err error) error { return fault.Wrap(fault.Invalid, "the refresh token is not good", err) }

// check returns when the refresh token ends, in seconds, or why it is refused.
func (r *Refresher) check(t *carnet.Verified, now time.Time) (ends int64, offline bool, err error) {
	if t.Type() != "JWT" {
		return 0, false, errors.New("typ is not JWT")
	}
	if t.Issuer() != r.c.Issuer {
		return 0, false, errors.New("iss is not the realm")
	}
	if t.Subject() == "" {
		return 0, false, errors.New("sub is missing")
	}
	var kind string
	if err := t.Claim("typ", &kind); err != nil {
		return 0, false, errors.New("the claim typ is not a string")
	}
	switch kind {
	case "Offline": // its exp is not looked at: Keycloak writes 0, or the end of a session
		at, ok := t.IssuedAt()
		switch {
		case !ok:
			return 0, false, errors.New("iat is missing")
		case at.After(now):
			return 0, false, errors.New("iat is ahead of now")
		}
		ends, offline = at.Add(r.c.OfflineValidity).Unix(), true
	case "Refresh":
		at, ok := t.Expiry()
		if !ok {
			return 0, false, errors.New("exp is missing")
		}
		ends = at.Unix()
	default:
		return 0, false, errors.New("the claim typ is neither Offline nor Refresh")
	}
	if ends < now.Unix() {
		return 0, false, errors.New("it has expired")
	}
	return ends, offline, nil
}

// profile asks for the user's roles. Without an answer the user has what all have.
func (r *Refresher) profile(ctx context.Context, subject string) Profile {
	if r.c.Roles == nil {
		return Profile{Roles: []Role{public}}
	}
	user := subject
	if strings.HasPrefix(user, "f:") { // federated: f:provider:user
		user = user[strings.LastIndexByte(user, ':')+1:]
	}
	p, err := r.c.Roles.Roles(ctx, user)
	if err != nil {
		r.c.Log.LogAttrs(ctx, slog.LevelWarn, "roles of a user cannot be read, PUBLIC alone is granted", slog.Any("err", err))
		return Profile{Roles: []Role{public}}
	}
	return p.withPublic()
}

// realmKeys are the keys of a Keycloak realm. Each kind of token has its own, so
// that no public key is ever taken for a secret.
type realmKeys struct {
	rs256 carnet.KeySource
	hs256 *carnet.Key
}

// Find implements [carnet.KeySource]. An RS256 token must name its key; an HS256
// one names a key that nobody but Keycloak knows the name of.
func (k *realmKeys) Find(ctx context.Context, h carnet.Hint) ([]*carnet.Key, error) {
	switch {
	case h.Algorithm == "RS256" && h.KeyID != "" && k.rs256 != nil:
		return k.rs256.Find(ctx, h)
	case h.Algorithm == "HS256" && k.hs256 != nil:
		return []*carnet.Key{k.hs256}, nil
	default:
		return nil, carnet.ErrUnknownKey
	}
}

// Generation implements [carnet.KeySource].
func (k *realmKeys) Generation() uint64 {
	if k.rs256 == nil {
		return 0
	}
	return k.rs256.Generation()
}
