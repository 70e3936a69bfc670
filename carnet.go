// Package carnet verifies JSON Web Tokens and protects HTTP handlers with them.
//
// It is what a resource server imports. Three lines protect a handler:
//
//	keys, err := carnet.RemoteKeys(carnet.RemoteConfig{Issuer: issuer, URL: issuer + "/.well-known/jwks.json"})
//	verifier, err := carnet.NewVerifier(carnet.VerifierConfig{Keys: keys, Policy: carnet.AccessTokens(issuer, audience)})
//	http.Handle("/", carnet.Middleware(verifier)(handler))
//
// In the handler, [PrincipalFrom] gives the verified token.
//
// # Which function
//
//   - [NewVerifier] and [Verifier.Verify] for a token from anywhere.
//   - [Middleware] for bearer tokens in HTTP requests (RFC 6750).
//   - [StaticKeys], [ParseJWKS] and [RemoteKeys] say whose signatures count.
//   - [Policy] says what a token must claim: [AccessTokens] is the one of RFC 9068.
//     The zero Policy refuses every token.
//   - Package carnettest has a throw-away issuer for your own tests.
//
// # What is refused
//
// The algorithm comes from the key, never from the token; "none" does not exist. A
// token has one spelling: base64url without padding or stray bits, three parts,
// JSON without duplicate or look-alike names. It is at most 16 KiB long, and no
// longer one costs more than the look at its length. iss, aud and exp are required
// unless the policy says otherwise in so many words. Embedded keys and key URLs
// (jwk, jku, x5u) are never looked at; a critical extension is always refused.
//
// # Compatibility
//
// The package depends on the standard library alone. What is exported stays as it
// is within a major version; what is accepted may become stricter where security
// asks for it, and the change log says so.
package carnet

import (
	"encoding/json"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

// Verified is a token whose signature and claims a [Verifier] has checked. Only a
// Verifier makes one with content. It is immutable and safe for concurrent use.
type Verified struct {
	claims   jose.Object
	key      *Key
	typ      string
	issuer   string
	subject  string
	scope    string
	audience []string

	expiry, notBefore, issuedAt date
}

// date is a NumericDate claim.
type date struct {
	ms    int64
	state dateState
}

type dateState uint8

const (
	absent dateState = iota
	valid
	invalid // there, but not a number in range
)

func dateOf(v jose.Value) date {
	if v.Kind == jose.Absent {
		return date{}
	}
	ms, ok := v.Date()
	if !ok {
		return date{state: invalid}
	}
	return date{ms, valid}
}

func (d date) time() (time.Time, bool) {
	if d.state != valid {
		return time.Time{}, false
	}
	return time.UnixMilli(d.ms).UTC(), true
}

// newVerified copies what u says out of the memory that the next token overwrites.
func newVerified(u *jose.Unverified, claims *jose.Object, key *Key) (Verified, error) {
	t := Verified{claims: claims.Clone(), key: key, typ: u.Type}
	for _, c := range [...]struct {
		name string
		into *string
	}{{"iss", &t.issuer}, {"sub", &t.subject}, {"scope", &t.scope}} {
		v := t.claims.Lookup(c.name)
		text, ok := v.Text()
		if !ok && v.Kind != jose.Absent {
			return t, &ClaimError{c.name, "is not a string"}
		}
		*c.into = text
	}
	switch aud := t.claims.Lookup("aud"); aud.Kind {
	case jose.Absent:
	case jose.String:
		text, _ := aud.Text()
		t.audience = []string{text}
	default:
		var ok bool
		if t.audience, ok = aud.Texts(); !ok {
			return t, &ClaimError{"aud", "is neither a string nor a list of strings"}
		}
	}
	t.expiry = dateOf(t.claims.Lookup("exp"))
	t.notBefore = dateOf(t.claims.Lookup("nbf"))
	t.issuedAt = dateOf(t.claims.Lookup("iat"))
	return t, nil
}

// Issuer is the claim iss, "" if absent.
func (t *Verified) Issuer() string { return t.issuer }

// Subject is the claim sub, "" if absent. With the issuer it names the user.
func (t *Verified) Subject() string { return t.subject }

// Audience is the claim aud as a list. The caller must not change it.
func (t *Verified) Audience() []string { return t.audience }

// Scope is the claim scope: names separated by blanks (RFC 8693 §4.2).
func (t *Verified) Scope() string { return t.scope }

// HasScope reports whether scope is among the token's scopes.
func (t *Verified) HasScope(scope string) bool { return hasWord(t.scope, scope) }

// ID is the claim jti, "" if absent or not a string.
func (t *Verified) ID() string { s, _ := t.claims.Lookup("jti").Text(); return s }

// Expiry is the claim exp. ok is false if it is absent or not a NumericDate.
func (t *Verified) Expiry() (at time.Time, ok bool) { return t.expiry.time() }

// NotBefore is the claim nbf, as [Verified.Expiry].
func (t *Verified) NotBefore() (at time.Time, ok bool) { return t.notBefore.time() }

// IssuedAt is the claim iat, as [Verified.Expiry].
func (t *Verified) IssuedAt() (at time.Time, ok bool) { return t.issuedAt.time() }

// Type is the header's typ, "" if absent.
func (t *Verified) Type() string { return t.typ }

// Algorithm is the one of the key that verified the token.
func (t *Verified) Algorithm() string { return t.key.Algorithm() }

// KeyID is the kid of the key that verified the token, whether or not the token
// named it.
func (t *Verified) KeyID() string { return t.key.ID() }

// Owner is what the key source marked the key with ([Key.WithOwner]).
func (t *Verified) Owner() any {
	if t.key == nil {
		return nil
	}
	return t.key.owner
}

// HasClaim reports whether the token has a claim of that name, null included.
func (t *Verified) HasClaim(name string) bool { return t.claims.Lookup(name).Kind != jose.Absent }

// Claim decodes one claim as encoding/json does. A claim that is absent or of
// another type is a [*ClaimError].
func (t *Verified) Claim(name string, into any) error {
	v := t.claims.Lookup(name)
	if v.Kind == jose.Absent {
		return &ClaimError{name, "is missing"}
	}
	if value, ok := into.(*jose.Value); ok { // only this module has the type: it reads in place
		*value = v
		return nil
	}
	if err := v.Decode(into); err != nil {
		return &ClaimError{name, "is of another type"}
	}
	return nil
}

// Claims returns the payload: one JSON object.
func (t *Verified) Claims() json.RawMessage {
	return append(json.RawMessage(nil), t.claims.Bytes()...)
}

// hasWord reports whether words, separated by single blanks, hold word.
func hasWord(words, word string) bool {
	if word == "" {
		return false
	}
	for words != "" {
		head := words
		words = ""
		for i := range len(head) {
			if head[i] == ' ' {
				head, words = head[:i], head[i+1:]
				break
			}
		}
		if head == word {
			return true
		}
	}
	return false
}
