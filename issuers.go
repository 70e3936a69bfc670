package carnet

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/carnetproject/carnet/internal/jose"
)

// TokenVerifier verifies tokens: a [Verifier] by their signature, [Issuers] by whom
// they are from, an [Introspection] by asking their issuer.
type TokenVerifier interface {
	Verify(ctx context.Context, token string) (*Verified, error)
}

// Issuers verifies the tokens of several issuers, each by a verifier of its own: with
// the keys, the audience and the rest of the policy that count for that issuer. Safe
// for concurrent use.
type Issuers struct {
	all     []*Verifier
	byName  map[string]*Verifier
	scratch sync.Pool // of *scratch
}

// NewIssuers takes verifiers whose policies name an issuer each, no two the same.
func NewIssuers(verifiers ...*Verifier) (*Issuers, error) {
	s := &Issuers{
		all: verifiers, byName: make(map[string]*Verifier, len(verifiers)),
		scratch: sync.Pool{New: func() any { return new(scratch) }},
	}
	if len(verifiers) == 0 {
		return nil, errors.New("issuers need a verifier each: none is given")
	}
	for i, v := range verifiers {
		switch {
		case v == nil:
			return nil, fmt.Errorf("issuers: verifier %d is nil", i)
		case v.policy.Issuer == "":
			return nil, fmt.Errorf("issuers: the policy of verifier %d names no issuer", i)
		case s.byName[v.policy.Issuer] != nil:
			return nil, fmt.Errorf("issuers: two verifiers are for %q", v.policy.Issuer)
		}
		s.byName[v.policy.Issuer] = v
	}
	return s, nil
}

// Verify has the verifier of the token's issuer verify it. A token of no issuer here
// is refused with [ErrIssuer], or as malformed, before any key is looked for. One that
// a verifier has in its cache is not taken apart again, and not allocated for.
func (s *Issuers) Verify(ctx context.Context, token string) (*Verified, error) {
	for _, v := range s.all {
		if v.Known(token) {
			return v.Verify(ctx, token)
		}
	}
	v, err := s.choose(token)
	if err != nil {
		return nil, err
	}
	return v.Verify(ctx, token)
}

// choose reads the iss, which decides nothing but who verifies it.
func (s *Issuers) choose(token string) (*Verifier, error) {
	if len(token) > jose.MaxToken {
		return nil, errTokenSize
	}
	u := s.scratch.Get().(*scratch)
	defer s.scratch.Put(u)
	if err := u.token.Parse(token); err != nil {
		return nil, malformed(err)
	}
	if err := u.token.Claims(&u.claims); err != nil {
		return nil, malformed(err)
	}
	iss := u.claims.Lookup("iss")
	name, ok := iss.Text()
	switch v := s.byName[name]; {
	case iss.Kind == jose.Absent:
		return nil, &ClaimError{"iss", "is missing"}
	case !ok:
		return nil, &ClaimError{"iss", "is not a string"}
	case v == nil:
		return nil, ErrIssuer
	default:
		return v, nil
	}
}
