package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/consumer"
)

// kidConfig has two consumers with several credentials and one route that looks up by
// kid.
func kidConfig() Config {
	cfg := oneRoute("", Plugins{JWT: &JWT{KidLookup: true, IssuerPrefixes: []string{"mobilev2"}}})
	cfg.Consumers[1].JWTSecrets = append(cfg.Consumers[1].JWTSecrets,
		JWTSecret{Key: "mobilev2_key2", Algorithm: "RS256", PublicKey: publicPEM(rsaB())},
		JWTSecret{Key: "devices-secret", Secret: stated(appSecret)})
	cfg.Consumers = append(cfg.Consumers, Consumer{Username: "partner", JWTSecrets: []JWTSecret{
		{Key: "partner-key", Algorithm: "ES256", PublicKey: publicPEM(es256())},
		{Key: "desktop", KeySet: "desktop"},
	}})
	return cfg
}

func TestKidLookup(t *testing.T) {
	t.Parallel()
	s := &sets{}
	s.put("desktop", joseKey("RS256", "desktop_key1", rsaA()), joseKey("ES256", "desktop_key2", es256()))
	ask := inProcess(t, kidConfig(), cached(Options{KeySet: s.read}))
	const device = "sunbird.app-7b1c"
	rs := func(key any, kid, iss string) string {
		return sign("RS256", key, object{"alg": "RS256", "kid": kid}, object{"iss": iss})
	}
	es := func(kid, iss string) string {
		return sign("ES256", es256(), object{"alg": "ES256", "kid": kid}, object{"iss": iss})
	}
	mac := func(kid, iss string) string {
		return sign("HS256", []byte(appSecret), object{"alg": "HS256", "kid": kid}, object{"iss": iss})
	}
	const unknown = "No credentials found for given 'iss'"
	for name, tc := range map[string]struct{ token, identity, refusal string }{
		"a device":                         {rs(rsaB(), "mobilev2_key2", device), device, ""},
		"another of the same key":          {rs(rsaB(), "mobilev2_key2", "other"), "other", ""},
		"by a published kid":               {rs(rsaA(), "desktop_key1", device), device, ""},
		"by a published kid, ES256":        {es("desktop_key2", device), device, ""},
		"the credential itself":            {es("partner-key", "partner-key"), "partner-key", ""},
		"no kid":                           {sign("ES256", es256(), object{"alg": "ES256"}, object{"iss": "partner-key"}), "partner-key", ""},
		"no kid, a secret":                 {hs(appSecret, "app-key"), "app-key", ""},
		"design form":                      {rs(rsaA(), "mobilev2", deviceIssuer), deviceIssuer, ""},
		"design form, no kid":              {deviceToken(deviceIssuer, nil), deviceIssuer, ""},
		"design form, sibling key":         {rs(rsaB(), "mobilev2_key2", deviceIssuer), deviceIssuer, ""},
		"a secret by kid":                  {mac("app-key", "app-key"), "", unknown},
		"a theft":                          {mac("app-key", "victim"), "", unknown},
		"a theft by a sibling's secret":    {mac("devices-secret", deviceIssuer), "", unknown},
		"design form, another's key":       {es("partner-key", deviceIssuer), "", unknown},
		"design form, another's published": {rs(rsaA(), "desktop_key1", deviceIssuer), "", unknown},
		"design form, unknown kid":         {rs(rsaA(), "mobilev2_key9", deviceIssuer), "", unknown},
		"unknown kid, known issuer":        {es("nobody", "partner-key"), "", unknown},
		"unknown kid, known secret":        {mac("nobody", "app-key"), "", unknown},
		"a prefix alone":                   {rs(rsaA(), "mobilev2", "mobilev2"), "", unknown},
		"no issuer":                        {sign("RS256", rsaB(), object{"alg": "RS256", "kid": "mobilev2_key2"}, object{}), "", "No mandatory 'iss' in claims"},
		"an issuer that is no name":        {rs(rsaB(), "mobilev2_key2", "a\nb"), "", "Invalid 'iss' in claims"},
		"an issuer without end":            {rs(rsaB(), "mobilev2_key2", strings.Repeat("a", 513)), "", "Invalid 'iss' in claims"},
		"a kid that is no name":            {rs(rsaB(), "a\x00b", device), "", unknown},
		"a kid without end":                {rs(rsaB(), strings.Repeat("k", 2000), device), "", unknown},
		"wrong key":                        {rs(rsaA(), "mobilev2_key2", device), "", "Invalid signature"},
		"wrong algorithm":                  {es("mobilev2_key2", device), "", "Invalid algorithm"},
		"the PEM as a secret":              {sign("HS256", []byte(publicPEM(rsaB())), object{"alg": "HS256", "kid": "mobilev2_key2"}, object{"iss": device}), "", "Invalid algorithm"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 2 { // verified, and from the cache
				a := ask("/demo", "Authorization: Bearer "+tc.token)
				if tc.refusal != "" {
					if a.status != 401 || a.message(t) != tc.refusal {
						t.Errorf("%d %s, want 401 %q", a.status, a.body, tc.refusal)
					}
				} else if id := a.seen(t).Header.Get("X-Credential-Identifier"); id != tc.identity {
					t.Errorf("identity %q, want %q", id, tc.identity)
				}
			}
		})
	}
}

// A kid that two credentials publish is nobody's.
func TestAmbiguousKid(t *testing.T) {
	t.Parallel()
	s := &sets{}
	s.put("desktop", joseKey("ES256", "k", es256()))
	cfg := kidConfig()
	cfg.Consumers[0].JWTSecrets = append(cfg.Consumers[0].JWTSecrets, JWTSecret{Key: "second", KeySet: "desktop"})
	ask := inProcess(t, cfg, Options{KeySet: s.read})
	token := sign("ES256", es256(), object{"alg": "ES256", "kid": "k"}, object{"iss": "x"})
	if a := ask("/demo?jwt=" + token); a.status != 401 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestDialectID(t *testing.T) {
	t.Parallel()
	base := func() *JWT { return &JWT{IssuerPrefixes: []string{"p"}} }
	for name, edit := range map[string]func(*JWT){
		"claim":  func(j *JWT) { j.KeyClaimName = "sub" },
		"kid":    func(j *JWT) { j.KidLookup = true },
		"base64": func(j *JWT) { j.SecretIsBase64 = true },
	} {
		j := base()
		edit(j)
		if newDialect(j).id() == newDialect(base()).id() {
			t.Errorf("%s: two dialects share their verified tokens", name)
		}
	}
	j := base()
	j.KeyClaimName, j.Realm = "iss", "r"
	if newDialect(j).id() != newDialect(base()).id() {
		t.Error("one dialect is taken for two")
	}
}

// FuzzIssuer: an issuer is read in one way, and only that way is looked up.
func FuzzIssuer(f *testing.F) {
	for _, s := range []string{deviceIssuer, "mobilev2", "mobilev2-", "mobilev2--1591600000000", "app-key", "mobilev2-a-159160000000", "a\x00"} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, iss string, kid bool) {
		d := &asked{}
		ring := &keyring{registry: d}
		ring.replace(&snapshot{set: must(consumer.NewSet(nil, nil))})
		src := &source{ring, newDialect(&JWT{IssuerPrefixes: []string{"mobilev2"}, KidLookup: kid})}
		if _, err := src.Find(t.Context(), carnet.Hint{Issuer: iss}); !errors.Is(err, carnet.ErrUnknownKey) {
			t.Fatalf("Find(%q) error = %v", iss, err)
		}
		device, is := parseIssuer(iss, []string{"mobilev2"})
		switch {
		case len(d.keys) > 1:
			t.Fatalf("%q was looked up as %q", iss, d.keys)
		case is && (len(d.keys) != 1 || d.keys[0] != device.prefix):
			t.Fatalf("the device %q was looked up as %q", iss, d.keys)
		case !is && len(d.keys) == 1 && (d.keys[0] != iss || iss == "mobilev2" || !visible(iss) || len(iss) > maxKey):
			t.Fatalf("%q was looked up as %q", iss, d.keys)
		}
	})
}

// asked is a registry that has nothing and remembers what it was asked for.
type asked struct{ keys []string }

func (a *asked) Find(_ context.Context, key string) (*consumer.Credential, error) {
	a.keys = append(a.keys, key)
	return nil, nil
}

func (*asked) FindConsumer(context.Context, string) (*consumer.Consumer, error) { return nil, nil }
func (*asked) Generation() uint64                                               { return 0 }
