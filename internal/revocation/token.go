package revocation

import (
	"time"

	"github.com/carnetproject/carnet"
)

// Token is all that entries can name a token by. Members that it does not have are
// empty and match nothing.
type Token struct {
	ID         string // jti
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
		ID: t.ID(), Issuer: t.Issuer(), Subject: t.Subject(), App: appOf(t), KeyID: t.KeyID(), IssuedAt: issued,
	}
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
