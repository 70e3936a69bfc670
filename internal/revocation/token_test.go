package revocation

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/jose"
)

func TestOf(t *testing.T) {
	t.Parallel()
	key, err := jose.Generate(jose.ES256, "kid-1")
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.Public().MarshalJWK()
	if err != nil {
		t.Fatal(err)
	}
	verifies, err := carnet.ParseJWK(public)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := carnet.StaticKeys(verifies)
	if err != nil {
		t.Fatal(err)
	}
	v, err := carnet.NewVerifier(carnet.VerifierConfig{Keys: keys, Policy: carnet.SignatureOnly()})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		claims string
		want   Token
	}{
		"access token": {
			`{"iss":"https://i","sub":"ann","client_id":"shop","jti":"j","iat":1780315200,"azp":"other"}`,
			Token{ID: "j", Issuer: "https://i", Subject: "ann", App: "shop", KeyID: "kid-1", IssuedAt: noon},
		},
		"OpenID Connect":          {`{"iss":"https://i","azp":"shop"}`, Token{Issuer: "https://i", App: "shop", KeyID: "kid-1"}},
		"of a sign-in":            {`{"jti":"s.j.k"}`, Token{ID: "s.j.k", SignIn: "s", KeyID: "kid-1"}},
		"of none":                 {`{"jti":".j"}`, Token{ID: ".j", KeyID: "kid-1"}},
		"session token":           {`{"iss":"app_1","sub":"ann"}`, Token{Issuer: "app_1", Subject: "ann", App: "app_1", KeyID: "kid-1"}},
		"to the millisecond":      {`{"iat":1780315200.25}`, Token{KeyID: "kid-1", IssuedAt: noon.Add(250 * time.Millisecond)}},
		"claims of other types":   {`{"iss":"i","client_id":7,"azp":null,"jti":[1],"iat":"now"}`, Token{Issuer: "i", App: "i", KeyID: "kid-1"}},
		"a client without name":   {`{"iss":"i","client_id":""}`, Token{Issuer: "i", App: "i", KeyID: "kid-1"}},
		"nothing at all":          {`{}`, Token{KeyID: "kid-1"}},
		"the escaped is the same": {`{"jti":"\u006a"}`, Token{ID: "j", KeyID: "kid-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := key.Sign("JWT", []byte(tc.claims))
			if err != nil {
				t.Fatal(err)
			}
			verified, err := v.Verify(t.Context(), text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, Of(verified)); diff != "" {
				t.Errorf("Of() (-want +got):\n%s", diff)
			}
		})
	}
}
