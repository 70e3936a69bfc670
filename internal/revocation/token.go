package revocation

import (
	"strings"
	"time"

	"github.com/carnetproject/carnet"
)

// Token is all that entries can name a token by. Members that it does not have are
// empty and match nothing.
type Token struct {
	ID         string // jti
	SignIn     string // what stands before a dot in the jti: the sign-in that the token is of
	Issuer     string // iss
	Subject    string // sub
	App        string
	Prefix     string // of an iss of the form prefix-device-timestamp
	Device     string // likewise
	Credential string // key of the gateway's credential
	KeyID      string // of the key that verified it
	IssuedAt   time.Time
}

// Of is what a token says for itself. Its app is client_id (RFC 9068 §2.2), else azp
// (OpenID Connect), else the issuer, as in session tokens. A token that does not say
// when it was issued counts as issued before every moment.
func Of(t *carnet.Verified) Token {
	issued, _ := t.IssuedAt()
	return Token{
		ID: t.ID(), SignIn: signInOf(t.ID()), Issuer: t.Issuer(), Subject: t.Subject(), App: appOf(t), KeyID: t.KeyID(), IssuedAt: issued,
	}
}

// signInOf is empty for an id without a dot.
func signInOf(id string) string {
	if signIn, _, ok := strings.Cut(id, "."); ok {
		return signIn
	}
	return ""
}

func appOf(t *carnet.Verified) string {
	for _, claim := range [...]string{"client_id", "azp"} {
		var client string
		if t.HasClaim(claim) && t.Claim(claim, &client) == nil && client != "" {
			return client
		}
	}
	return t.Issuer()
}
