package server

import (
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/token"
)

// revoked is the list as a verifier of this issuer's own tokens asks it.
type revoked struct{ *revocation.List }

// Revoked asks by what the token says for itself.
func (r revoked) Revoked(t *carnet.Verified) bool { return r.List.Revoked(revocation.Of(t)) }

// tokenLife is how long a token of the target lives at the most: those of this issuer
// and of its apps as the configuration says, a refresh token counted as what it brings.
// It is 0 where others sign too, as an app does that has the secret of its session
// tokens. A token's id is taken for one of this issuer's.
func tokenLife(c config.Tokens, issuer string, apps *app.Directory, t revocation.Target) time.Duration {
	session := max(c.AccessTTL, c.STSTTL).Std()
	signIn := max(c.AccessTTL, c.STSTTL, c.RefreshTTL).Std()
	switch t.Kind {
	case revocation.ByToken:
		return session
	case revocation.BySubject:
		if t.Issuer == issuer {
			return signIn
		}
		if signedHere(apps, t.Issuer) {
			return session
		}
	case revocation.ByIssuer:
		if t.Name == issuer {
			return signIn
		}
	case revocation.ByApp:
		if t.Name == string(token.Itself) || signedHere(apps, t.Name) {
			return signIn
		}
	}
	return 0
}

// signedHere tells whether id is an app whose session tokens only Carnet can sign.
func signedHere(apps *app.Directory, id string) bool {
	a, ok := apps.Find(app.ID(id))
	return ok && !a.SessionAlgorithm.Symmetric()
}
