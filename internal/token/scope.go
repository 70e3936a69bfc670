package token

import (
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/wire"
)

const maxScope = 4096 // bytes of a whole scope text

// ParseScope reads a scope parameter (RFC 6749 §3.3): tokens of printable ASCII
// between single blanks. Repeated tokens are given once.
func ParseScope(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > maxScope {
		return nil, fault.BadField("scope", "is too long")
	}
	var scopes []string
	for t := range strings.SplitSeq(s, " ") {
		if !wire.ScopeToken(t) {
			return nil, fault.BadField("scope", "must be scope tokens of printable ASCII with one blank between them")
		}
		if !slices.Contains(scopes, t) {
			scopes = append(scopes, t)
		}
	}
	return scopes, nil
}

// Grant is the scope that is given when wanted is asked for and allowed is the
// most there may be: all that is allowed if nothing is asked for. Asking for more
// is an error whose Field is "scope".
func Grant(wanted string, allowed []string) (string, error) {
	scopes, err := ParseScope(wanted)
	if err != nil {
		return "", err
	}
	if len(scopes) == 0 {
		return strings.Join(allowed, " "), nil
	}
	for _, s := range scopes {
		if !slices.Contains(allowed, s) {
			return "", fault.BadField("scope", "asks for more than is allowed")
		}
	}
	return strings.Join(scopes, " "), nil
}
