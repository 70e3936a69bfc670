package carnet

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// Requirement is a further condition on a verified token; nil means that it holds.
type Requirement func(*Verified) error

// RequireScopes asks for all the scopes. A token that lacks one is answered 403 with
// insufficient_scope (RFC 6750 §3.1).
func RequireScopes(scopes ...string) Requirement {
	return func(t *Verified) error {
		for _, s := range scopes {
			if !t.HasScope(s) {
				return &ScopeError{scopes}
			}
		}
		return nil
	}
}

// RequireClaim asks for a claim that is the string value, or a list of strings that
// holds it. A token that lacks it is answered 401.
func RequireClaim(name, value string) Requirement {
	return func(t *Verified) error {
		v := t.claims.Lookup(name)
		if one, ok := v.Text(); ok && one == value {
			return nil
		}
		if list, ok := v.Texts(); ok && contains(list, value) {
			return nil
		}
		return &ClaimError{name, "is missing or has another value"}
	}
}

type principalKey struct{}

// PrincipalFrom returns the token that [Middleware] verified for this request.
func PrincipalFrom(ctx context.Context) (t *Verified, ok bool) {
	t, ok = ctx.Value(principalKey{}).(*Verified)
	return t, ok
}

// Middleware lets a request through if its bearer token (RFC 6750 §2.1: the
// Authorization header, no other place) verifies and meets the requirements, and
// refuses it otherwise:
//
//   - no token: 401, WWW-Authenticate: Bearer
//   - a token that is refused for whatever reason: 401, error="invalid_token"
//   - a scope is lacking: 403, error="insufficient_scope"
//   - more than one Authorization header, or one that is malformed: 400, error="invalid_request"
//   - the keys cannot be fetched, or the issuer not be asked: 503 with Retry-After
//
// Why a token is refused is not told.
func Middleware(v TokenVerifier, requirements ...Requirement) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, err := bearer(r.Header["Authorization"])
			if err != nil {
				refuse(w, err)
				return
			}
			t, err := v.Verify(r.Context(), token)
			if err != nil {
				refuse(w, err)
				return
			}
			for _, require := range requirements {
				if err := require(t); err != nil {
					refuse(w, err)
					return
				}
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, t)))
		})
	}
}

var (
	errNoToken    = errors.New("request carries no token")
	errBadRequest = errors.New("authorization header is malformed")
)

// bearer returns the token of the one Authorization header.
func bearer(headers []string) (string, error) {
	switch len(headers) {
	case 0:
		return "", errNoToken
	case 1:
	default:
		return "", errBadRequest
	}
	scheme, token, found := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", errNoToken
	}
	token = strings.TrimLeft(token, " ")
	if !found || token == "" || strings.ContainsAny(token, " \t,") {
		return "", errBadRequest
	}
	return token, nil
}

// refuse writes the answer of RFC 6750 §3.
func refuse(w http.ResponseWriter, err error) {
	status, code, challenge := http.StatusUnauthorized, "invalid_token", `Bearer error="invalid_token"`
	var scope *ScopeError
	switch {
	case errors.Is(err, errNoToken):
		code, challenge = "unauthorized", "Bearer"
	case errors.Is(err, errBadRequest):
		status, code, challenge = http.StatusBadRequest, "invalid_request", `Bearer error="invalid_request"`
	case errors.As(err, &scope):
		status, code = http.StatusForbidden, "insufficient_scope"
		challenge = `Bearer error="insufficient_scope", scope="` + strings.Join(scope.Scopes, " ") + `"`
	case errors.Is(err, ErrKeysUnavailable), errors.Is(err, ErrIntrospection):
		status, code, challenge = http.StatusServiceUnavailable, "temporarily_unavailable", ""
		w.Header().Set("Retry-After", "1")
	}
	if challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code}) // a client that has gone needs no answer
}
