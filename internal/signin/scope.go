package signin

import (
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/app"
)

// The scopes of OpenID Connect, which every app may ask for (Core §3.1.2.1, §5.4, §11).
const (
	OpenID  = "openid"         // an ID token, and who they are
	Profile = "profile"        // what they are called
	Offline = "offline_access" // a refresh token
)

// Wanted is what of the scopes that an app asks for it may ask for; without any, all that
// people may grant it. What nobody here knows is ignored (Core §3.1.2.1).
func Wanted(a *app.App, asked []string) []string {
	if len(asked) == 0 {
		return slices.Clone(a.UserScopes)
	}
	return slices.DeleteFunc(slices.Clone(asked), func(s string) bool {
		return !identity(s) && !slices.Contains(a.UserScopes, s) || s == Offline && !a.May(app.RefreshToken)
	})
}

// Kept is what of a scope that a person has granted an app it may still have: whoever
// narrows an app narrows the sign-ins that were made before. What it may have more since
// then it gets only when it asks for it.
func Kept(a *app.App, scope string) string {
	if scope == "" {
		return ""
	}
	return strings.Join(Wanted(a, strings.Fields(scope)), " ")
}

// Scope is what of that the person of the session can give.
func (s *Session) Scope(wanted []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(wanted), func(scope string) bool {
		return !identity(scope) && !slices.Contains(s.Scopes, scope)
	}), " ")
}

func identity(scope string) bool { return scope == OpenID || scope == Profile || scope == Offline }
