package storetest

import (
	"crypto/sha256"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/token"
	"github.com/carnetproject/carnet/internal/user"
)

// epoch has the precision that stores keep: a millisecond.
var epoch = time.Date(2030, 1, 2, 3, 4, 5, 678e6, time.UTC)

// sampleKey has every member set.
func sampleKey(t *testing.T, set key.SetName) key.Key {
	t.Helper()
	k, err := jose.Generate(jose.ES256, "")
	if err != nil {
		t.Fatal(err)
	}
	return key.Key{
		Set: set, Public: k.Public(), Sealed: "sealed " + k.ID(),
		Created: epoch, Active: epoch.Add(time.Minute), Retire: epoch.Add(time.Hour), Expire: epoch.Add(2 * time.Hour),
	}
}

// sampleApp has every member set.
func sampleApp(id app.ID) app.App {
	return app.App{
		ID: id, Name: "The \"shop\" – 店", Disabled: true, Public: true, Created: epoch,
		Identity:        app.Trusted,
		TrustedNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
		Networks:        []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		HTTPSOnly:       true,
		Origins:         []string{"https://shop.example", "https://b.example:8443"},
		Audience:        "https://chat.example", SessionAlgorithm: jose.HS256, AccessAlgorithm: jose.ES256,
		Scopes:    []string{"chat", "orders:read"},
		Connector: "who-is-it", Cookies: []string{"sid", "region"},
		Claims: `{"org": "acme – ${name}"}`, Grants: []app.Grant{app.TokenExchange, app.ClientCredentials},
		RedirectURIs: []string{"https://shop.example/back?x=1", "com.example.shop:/back"}, FirstParty: true,
		UserScopes: []string{"profile"}, Audiences: []string{"https://orders.example"}, Targets: []string{"https://stock.example"},
		Secrets: []app.Secret{
			{ID: "s2", Hash: sha256.Sum256([]byte("b")), Sealed: "sealed", NotBefore: epoch, NotAfter: epoch.Add(time.Hour)},
			{ID: "s1", Hash: sha256.Sum256([]byte("a")), NotBefore: epoch},
			{ID: "s0", Ref: "srn:vault::default:secret:shop", NotBefore: epoch},
		},
		Keys: []app.Key{
			{ID: "k1", JWK: `{"kty":"OKP"}`, NotBefore: epoch, NotAfter: epoch.Add(time.Hour)},
			{ID: "https://shop.example/jwks.json", URL: "https://shop.example/jwks.json", NotBefore: epoch},
		},
	}
}

func sampleUser(id user.ID, name string) user.User {
	return user.User{
		ID: id, Name: name, Password: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
		Disabled: true, Scopes: []string{"chat"}, Created: epoch,
	}
}

func sampleFamily(id token.FamilyID) token.Family {
	return token.Family{
		ID: id, App: "shop", Session: "ses_1", Subject: "u1", Scope: "chat orders:read", Audience: "https://api.example",
		Algorithm: jose.RS256, Hash: sha256.Sum256([]byte("first")), Created: epoch, Expires: epoch.Add(time.Hour), Rotated: epoch.Add(time.Minute),
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, want fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != want {
		t.Errorf("error = %v of kind %v, want kind %v", err, fault.KindOf(err), want)
	}
}

// sameKeys compares whole keys.
var sameKeys = cmp.Comparer(func(a, b *jose.Key) bool { return a.ID() == b.ID() && a.Equal(b) })

func wantEqual[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, sameKeys, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
