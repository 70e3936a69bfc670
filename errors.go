package carnet

import (
	"errors"

	"github.com/carnetproject/carnet/internal/jose"
)

// The reasons why a token is refused. Test for them with [errors.Is]. Do not tell
// the caller which it was: [Middleware] does not.
var (
	ErrMalformed   = errors.New("token is malformed")
	ErrUnknownKey  = errors.New("no key for this token")
	ErrAlgorithm   = jose.ErrAlgorithm
	ErrSignature   = jose.ErrSignature
	ErrIssuer      = errors.New("token is from another issuer")
	ErrAudience    = errors.New("token is for another audience")
	ErrType        = errors.New("token is of another type")
	ErrExpired     = errors.New("token has expired")
	ErrNotYetValid = errors.New("token is not valid yet")
	ErrLifetime    = errors.New("token lives longer than allowed")
	ErrClaim       = errors.New("a required claim is missing or wrong")
	ErrScope       = errors.New("token lacks a required scope")
	ErrRevoked     = errors.New("token is revoked")
	ErrInactive    = errors.New("token is not active, says its issuer")
)

// Errors that say nothing about the token.
var (
	ErrPolicy          = errors.New("policy accepts no token")
	ErrKeysUnavailable = errors.New("verification keys cannot be fetched")
	ErrIntrospection   = errors.New("token cannot be introspected")
)

// MalformedError is an [ErrMalformed] that says where.
type MalformedError struct {
	Part   string // "token", "header", "alg", "claims" or "signature"
	Reason string // never contains input
}

func (e *MalformedError) Error() string { return "malformed " + e.Part + ": " + e.Reason }

// Is reports whether target is [ErrMalformed].
func (e *MalformedError) Is(target error) bool { return target == ErrMalformed }

// errTokenSize comes before a token is looked into, hashed or copied.
var errTokenSize = &MalformedError{"token", "longer than 16 KiB"}

// malformed turns jose's error into ours.
func malformed(err error) error {
	if e, ok := errors.AsType[*jose.FormError](err); ok {
		return &MalformedError{e.Part, e.Reason}
	}
	return err
}

// ClaimError is an [ErrClaim] that says which.
type ClaimError struct {
	Claim  string // its name as the policy or RFC 7519 spells it
	Reason string // "is missing", "is not a number", …
}

func (e *ClaimError) Error() string { return "claim " + e.Claim + " " + e.Reason }

// Is reports whether target is [ErrClaim].
func (e *ClaimError) Is(target error) bool { return target == ErrClaim }

// ScopeError is an [ErrScope] that says which scopes would do (RFC 6750 §3.1).
type ScopeError struct{ Scopes []string }

func (e *ScopeError) Error() string { return ErrScope.Error() }

// Is reports whether target is [ErrScope].
func (e *ScopeError) Is(target error) bool { return target == ErrScope }
