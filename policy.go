package carnet

import (
	"fmt"
	"strings"
	"time"
)

// MaxLeeway is the most that clocks may differ by.
const MaxLeeway = 60 * time.Second

// Policy says what a token of one kind must claim. It is a value to write down
// once per kind of token. The zero Policy refuses every token: each freedom is a
// field that must be set in so many words.
type Policy struct {
	Issuer      string // iss must equal it
	AnyIssuer   bool   // take any iss, or none; only if Keys tells issuers apart
	Audience    string // aud must be it or contain it
	AnyAudience bool   // take any aud, or none

	Type string // typ must be it, as media types compare (RFC 7515 §4.1.9); "": not looked at

	NoExpiry    bool          // take tokens without exp, which live for ever
	MaxLifetime time.Duration // exp − iat may not exceed it, and iat is required; 0: no cap
	Leeway      time.Duration // how far clocks may differ; at most MaxLeeway

	Required []string // claims that must be there and not null
	Scopes   []string // all of them must be granted

	signatureOnly bool
}

// AccessTokens is the policy for OAuth 2.0 access tokens (RFC 9068 §2.2, §4): typ
// "at+jwt"; iss, aud, exp, sub, client_id, iat and jti required.
func AccessTokens(issuer, audience string) Policy {
	return Policy{
		Issuer: issuer, Audience: audience, Type: "at+jwt",
		Required: []string{"sub", "client_id", "iat", "jti"},
	}
}

// SignatureOnly is the policy of a caller that checks every claim itself,
// expiry included. With it [Verifier.Verify] vouches for the signature alone.
func SignatureOnly() Policy { return Policy{signatureOnly: true} }

// Validate reports what makes the policy one that accepts nothing.
func (p *Policy) Validate() error {
	switch {
	case p.signatureOnly:
		return nil
	case p.Issuer == "" && !p.AnyIssuer:
		return fmt.Errorf("%w: it names no issuer; set Issuer, or AnyIssuer", ErrPolicy)
	case p.Audience == "" && !p.AnyAudience:
		return fmt.Errorf("%w: it names no audience; set Audience, or AnyAudience", ErrPolicy)
	case p.Issuer != "" && p.AnyIssuer, p.Audience != "" && p.AnyAudience:
		return fmt.Errorf("%w: it names an issuer or audience and takes any", ErrPolicy)
	case p.Leeway < 0 || p.Leeway > MaxLeeway:
		return fmt.Errorf("%w: leeway %v is not between 0 and %v", ErrPolicy, p.Leeway, MaxLeeway)
	case p.MaxLifetime < 0:
		return fmt.Errorf("%w: a lifetime cannot be negative", ErrPolicy)
	case p.MaxLifetime > 0 && p.NoExpiry:
		return fmt.Errorf("%w: a cap on lifetime needs an expiry", ErrPolicy)
	default:
		return nil
	}
}

// Check reports why t does not satisfy p at the time now, nil if it does. It does
// not allocate unless it refuses.
func (p *Policy) Check(t *Verified, now time.Time) error {
	if err := p.Validate(); err != nil {
		return err
	}
	return p.check(t, now)
}

// check is [Policy.Check] of a policy that is valid.
func (p *Policy) check(t *Verified, now time.Time) error {
	if p.signatureOnly {
		return nil
	}
	if !p.AnyIssuer && t.issuer != p.Issuer {
		return missingOr(t, "iss", ErrIssuer)
	}
	if !p.AnyAudience && !contains(t.audience, p.Audience) {
		return missingOr(t, "aud", ErrAudience)
	}
	if p.Type != "" && !sameType(t.typ, p.Type) {
		return ErrType
	}
	if err := p.checkTimes(t, now.UnixMilli()); err != nil {
		return err
	}
	for _, name := range p.Required {
		if v := t.claims.Lookup(name); len(v.Raw) == 0 || string(v.Raw) == "null" {
			return &ClaimError{name, "is missing"}
		}
	}
	for _, s := range p.Scopes {
		if !t.HasScope(s) {
			return &ScopeError{p.Scopes}
		}
	}
	return nil
}

// checkTimes looks at exp, nbf and iat (RFC 7519 §4.1.4–4.1.6). A date that is there
// must be a number in range, wanted or not. now is in milliseconds.
func (p *Policy) checkTimes(t *Verified, now int64) error {
	if p.signatureOnly {
		return nil
	}
	leeway := p.Leeway.Milliseconds()
	switch {
	case t.expiry.state == invalid:
		return &ClaimError{"exp", "is not a NumericDate"}
	case t.notBefore.state == invalid:
		return &ClaimError{"nbf", "is not a NumericDate"}
	case t.issuedAt.state == invalid:
		return &ClaimError{"iat", "is not a NumericDate"}
	case t.expiry.state == absent && !p.NoExpiry:
		return &ClaimError{"exp", "is missing"}
	case t.expiry.state == valid && now >= t.expiry.ms+leeway:
		return ErrExpired
	case t.notBefore.state == valid && now < t.notBefore.ms-leeway:
		return ErrNotYetValid
	}
	if p.MaxLifetime == 0 {
		return nil
	}
	switch {
	case t.issuedAt.state == absent:
		return &ClaimError{"iat", "is missing"}
	case t.issuedAt.ms > now+leeway:
		return ErrNotYetValid // else a future iat would stretch the cap
	case t.expiry.ms-t.issuedAt.ms > p.MaxLifetime.Milliseconds():
		return ErrLifetime
	}
	return nil
}

func missingOr(t *Verified, claim string, err error) error {
	if !t.HasClaim(claim) {
		return &ClaimError{claim, "is missing"}
	}
	return err
}

func contains(list []string, want string) bool {
	for _, s := range list {
		if s == want {
			return true
		}
	}
	return false
}

// sameType compares media types with the prefix that a typ may leave out.
func sameType(a, b string) bool {
	const prefix = "application/"
	trim := func(s string) string {
		if len(s) > len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
			return s[len(prefix):]
		}
		return s
	}
	return strings.EqualFold(trim(a), trim(b))
}
