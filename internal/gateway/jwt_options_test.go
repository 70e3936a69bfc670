package gateway

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/consumer"
)

// inProcess serves one route with plugin j to an upstream that tells what it got.
func inProcess(t *testing.T, cfg Config, o Options) func(target string, lines ...string) answer {
	t.Helper()
	cfg.Services[0].URL = "internal://echo"
	o.Config, o.Internal = cfg, map[string]http.Handler{"echo": http.HandlerFunc(echo)}
	_, server := newGateway(t, o)
	return func(target string, lines ...string) answer {
		t.Helper()
		return call(t, server, "GET", target, lines...)
	}
}

func TestKeyClaim(t *testing.T) {
	t.Parallel()
	claims := func(header, claims object) string {
		header["alg"] = "HS256"
		return sign("HS256", []byte(appSecret), header, claims)
	}
	for name, tc := range map[string]struct {
		claim, token string
		message      string // "": admitted
	}{
		"the issuer":                   {"", claims(object{}, object{"iss": "app-key"}), ""},
		"the issuer in the header":     {"", claims(object{"iss": "app-key"}, object{}), ""},
		"the claim before the header":  {"", claims(object{"iss": "app-key"}, object{"iss": "other"}), "No credentials found for given 'iss'"},
		"an empty claim, not a header": {"", claims(object{"iss": "app-key"}, object{"iss": ""}), "Invalid 'iss' in claims"},
		"a null claim, not a header":   {"", claims(object{"iss": "app-key"}, object{"iss": nil}), "Invalid 'iss' in claims"},
		"kid":                          {"kid", claims(object{"kid": "app-key"}, object{"iss": "whatever"}), ""},
		"kid as a claim":               {"kid", claims(object{}, object{"kid": "app-key"}), ""},
		"no kid":                       {"kid", claims(object{}, object{"iss": "app-key"}), "No mandatory 'kid' in claims"},
		"an unknown kid":               {"kid", claims(object{"kid": "x"}, object{"iss": "app-key"}), "No credentials found for given 'kid'"},
		"an empty kid":                 {"kid", claims(object{"kid": ""}, object{}), "Invalid 'kid' in claims"},
		"a claim of our own":           {"https://x/tenant", claims(object{}, object{"https://x/tenant": "app-key"}), ""},
		"a list":                       {"aud", claims(object{}, object{"aud": []string{"app-key"}}), "Invalid 'aud' in claims"},
		"an object":                    {"org", claims(object{}, object{"org": object{"id": 1}}), "Invalid 'org' in claims"},
		"a name in another case":       {"org", claims(object{}, object{"Org": "app-key"}), "No mandatory 'org' in claims"},
		"a blank":                      {"org", claims(object{}, object{"org": "app key"}), "Invalid 'org' in claims"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ask := inProcess(t, oneRoute("", Plugins{JWT: &JWT{KeyClaimName: tc.claim}}), Options{})
			a := ask("/demo?jwt=" + tc.token)
			if tc.message == "" {
				if id := a.seen(t).Header.Get("X-Credential-Identifier"); id != "app-key" {
					t.Errorf("identity %q", id)
				}
			} else if a.status != 401 || a.message(t) != tc.message {
				t.Errorf("%d %s, want 401 %s", a.status, a.body, tc.message)
			}
		})
	}
}

// A device is known by the claim iss, which revocations and limits go by: an iss in the
// header leads to a credential, never to a device.
func TestDevicesAreKnownByTheClaim(t *testing.T) {
	t.Parallel()
	cfg := oneRoute("", Plugins{JWT: &JWT{IssuerPrefixes: []string{"mobilev2"}, KidLookup: true}})
	cfg.Consumers[1].JWTSecrets = append(cfg.Consumers[1].JWTSecrets, JWTSecret{Key: "plain", Algorithm: "RS256", PublicKey: publicPEM(rsaA())})
	ask := inProcess(t, cfg, cached(Options{}))
	for name, tc := range map[string]struct {
		header object
		status int
	}{
		"a credential":  {object{"iss": "plain"}, 200},
		"a design form": {object{"iss": deviceIssuer}, 401},
		"a kid":         {object{"iss": "device", "kid": "plain"}, 401},
	} {
		tc.header["alg"] = "RS256"
		for range 2 {
			if a := ask("/demo?jwt=" + sign("RS256", rsaA(), tc.header, object{})); a.status != tc.status {
				t.Errorf("%s: %d %s, want %d", name, a.status, a.body, tc.status)
			}
		}
	}
}

// One credential serves routes that read its secret as base64 and routes that do not.
func TestSecretIsBase64(t *testing.T) {
	t.Parallel()
	raw := "a secret that is 32 bytes long: \xfb\xff\xbe"
	for name, coded := range map[string]string{
		"standard": base64.StdEncoding.EncodeToString([]byte(raw)),
		"URL":      base64.RawURLEncoding.EncodeToString([]byte(raw)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := oneRoute("", Plugins{JWT: &JWT{SecretIsBase64: true}})
			cfg.Consumers[0].JWTSecrets[0].Secret = stated(coded)
			cfg.Services[0].Routes = append(cfg.Services[0].Routes, Route{Name: "plain", Paths: []string{"/plain"}, Plugins: Plugins{JWT: &JWT{}}})
			ask := inProcess(t, cfg, cached(Options{}))
			decoded, plain := hs(raw, "app-key"), hs(coded, "app-key")
			for range 2 {
				for _, tc := range []struct {
					path, token string
					status      int
				}{{"/demo", decoded, 200}, {"/plain", plain, 200}, {"/demo", plain, 401}, {"/plain", decoded, 401}} {
					if a := ask(tc.path + "?jwt=" + tc.token); a.status != tc.status {
						t.Errorf("%s: %d %s, want %d", tc.path, a.status, a.body, tc.status)
					}
				}
			}
			device := sign("RS256", rsaA(), object{"alg": "RS256"}, object{"iss": "mobilev2"})
			ask("/demo?jwt=" + device).seen(t) // a public key is no secret
			if a := ask("/demo?jwt=" + sign("HS384", []byte(raw), object{"alg": "HS384"}, object{"iss": "app-key"})); a.message(t) != "Invalid algorithm" {
				t.Errorf("another algorithm: %s", a.body)
			}
		})
	}
}

func TestAnonymous(t *testing.T) {
	t.Parallel()
	guest := Consumer{Username: "guest", CustomID: "g-1"}
	good, bad := hs(appSecret, "app-key"), hs("wrong", "app-key")
	for name, tc := range map[string]struct {
		jwt    JWT
		target string
		who    string // "": refused
	}{
		"no token":                {JWT{Anonymous: "guest"}, "/demo", "guest"},
		"no token, by id":         {JWT{Anonymous: consumer.New("guest", "", nil).ID}, "/demo", "guest"},
		"bad token":               {JWT{Anonymous: "guest", AnonymousOn: "any"}, "/demo?jwt=" + bad, "guest"},
		"several tokens":          {JWT{Anonymous: "guest"}, "/demo?jwt=a&jwt=b", "guest"},
		"expired":                 {JWT{Anonymous: "guest", ClaimsToVerify: []string{"exp"}}, "/demo?jwt=" + good, "guest"},
		"good token":              {JWT{Anonymous: "guest"}, "/demo?jwt=" + good, "app"},
		"missing only, none":      {JWT{Anonymous: "guest", AnonymousOn: "missing_only"}, "/demo", "guest"},
		"missing only, bad token": {JWT{Anonymous: "guest", AnonymousOn: "missing_only"}, "/demo?jwt=" + bad, ""},
		"missing only, expired":   {JWT{Anonymous: "guest", AnonymousOn: "missing_only", ClaimsToVerify: []string{"exp"}}, "/demo?jwt=" + good, ""},
		"missing only, empty":     {JWT{Anonymous: "guest", AnonymousOn: "missing_only"}, "/demo?jwt=", "guest"},
		"missing only, good":      {JWT{Anonymous: "guest", AnonymousOn: "missing_only"}, "/demo?jwt=" + good, "app"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := oneRoute("", Plugins{JWT: &tc.jwt})
			cfg.Consumers = append(cfg.Consumers, guest)
			a := inProcess(t, cfg, Options{})(tc.target, "X-Anonymous-Consumer: spoofed", "X-Credential-Identifier: spoofed")
			if tc.who == "" {
				if a.status != 401 {
					t.Errorf("%d %s, want 401", a.status, a.body)
				}
				return
			}
			h := a.seen(t).Header
			if h.Get("X-Consumer-Username") != tc.who || (h.Get("X-Anonymous-Consumer") == "true") != (tc.who == "guest") {
				t.Errorf("upstream got %v, want %s", h, tc.who)
			}
			if id := h.Get("X-Credential-Identifier"); (id == "app-key") != (tc.who == "app") || id == "spoofed" {
				t.Errorf("identifier %q", id)
			}
			if tc.who == "guest" && (h.Get("X-Consumer-Custom-Id") != "g-1" || h.Get("X-Consumer-Id") != consumer.New("guest", "", nil).ID) {
				t.Errorf("upstream got %v", h)
			}
		})
	}
}

func TestStatusProfile(t *testing.T) {
	t.Parallel()
	plain := JWT{StatusProfile: "sunbird", CookieNames: []string{"c"}}
	exp := plain
	exp.ClaimsToVerify, exp.MaximumExpiration = []string{"exp"}, 60
	at := func(ahead int64) string { return hs(appSecret, "app-key", object{"exp": now.Unix() + ahead}) }
	cookie := func(token string) string { return "Cookie: c=" + token }
	good, bad := hs(appSecret, "app-key"), hs("wrong", "app-key")
	for name, tc := range map[string]struct {
		jwt    JWT
		target string
		lines  []string
		status int
		body   string
	}{
		"no token":              {plain, "/demo", nil, 401, `{"message":"Unauthorized"}`},
		"bare parameter":        {plain, "/demo?jwt", nil, 401, `{"message":"Unrecognizable token"}`},
		"one place, two tokens": {plain, "/demo?jwt=a&jwt=b", nil, 401, `{"message":"Multiple tokens provided"}`},
		"not a token":           {plain, "/demo?jwt=abc", nil, 401, `{"message":"Unauthorized"}`},
		"no issuer":             {plain, "/demo?jwt=" + sign("HS256", []byte("s"), object{"alg": "HS256"}, object{}), nil, 401, `{"message":"No mandatory 'iss' in claims"}`},
		"an empty issuer":       {plain, "/demo?jwt=" + hs("s", ""), nil, 403, `{"message":"No credentials found for given 'iss'"}`},
		"unknown":               {plain, "/demo?jwt=" + hs("s", "nobody"), nil, 403, `{"message":"No credentials found for given 'iss'"}`},
		"wrong algorithm":       {plain, "/demo?jwt=" + sign("HS384", []byte(appSecret), object{"alg": "HS384"}, object{"iss": "app-key"}), nil, 403, `{"message":"Invalid algorithm"}`},
		"wrong signature":       {plain, "/demo?jwt=" + bad, nil, 403, `{"message":"Invalid signature"}`},
		"expired":               {exp, "/demo?jwt=" + at(-1), nil, 401, `{"exp":"token expired"}`},
		"too far ahead":         {exp, "/demo?jwt=" + at(61), nil, 403, `{"exp":"exceeds maximum allowed expiration"}`},
		"good":                  {plain, "/demo?jwt=" + good, nil, 200, ""},
		"query before cookie":   {plain, "/demo?jwt=" + good, []string{cookie(bad)}, 200, ""},
		"a bad one counts, too": {plain, "/demo?jwt=" + bad, []string{cookie(good)}, 403, `{"message":"Invalid signature"}`},
		"cookie before header":  {plain, "/demo", []string{cookie(good), "Authorization: Bearer " + bad}, 200, ""},
		"an empty one does not": {plain, "/demo?jwt=", []string{cookie(good)}, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := inProcess(t, oneRoute("", Plugins{JWT: &tc.jwt}), Options{})(tc.target, tc.lines...)
			if a.status != tc.status || tc.body != "" && a.body != tc.body {
				t.Errorf("%d %s, want %d %s", a.status, a.body, tc.status, tc.body)
			}
			if v, ok := a.header["Www-Authenticate"]; ok {
				t.Errorf("WWW-Authenticate %q", v)
			}
			if tc.status == 200 && a.seen(t).Header.Get("X-Credential-Identifier") != "" {
				t.Error("upstream got X-Credential-Identifier")
			}
		})
	}
}

func TestDemands(t *testing.T) {
	t.Parallel()
	required := func(values ...string) JWT { return JWT{RequiredClaims: map[string][]string{"role": values}} }
	aud := JWT{Audience: []string{"orders", "billing"}}
	leeway := JWT{ClaimsToVerify: []string{"exp", "nbf"}, Leeway: 30, MaximumExpiration: 60}
	at := func(exp, nbf int64) object { return object{"exp": now.Unix() + exp, "nbf": now.Unix() + nbf} }
	const missing, other, audience = `{"role":"is required"}`, `{"role":"is not one of the values required"}`, `{"aud":"is not this audience"}`
	for name, tc := range map[string]struct {
		jwt    JWT
		claims object
		body   string
	}{
		"audience":                  {aud, object{"aud": "orders"}, ""},
		"one of the audiences":      {aud, object{"aud": []string{"x", "billing"}}, ""},
		"another audience":          {aud, object{"aud": "x"}, audience},
		"no audience":               {aud, object{}, audience},
		"an empty audience":         {aud, object{"aud": []string{}}, audience},
		"there":                     {required(), object{"role": "x"}, ""},
		"there, an object":          {required(), object{"role": object{"a": 1}}, ""},
		"there, empty":              {required(), object{"role": ""}, ""},
		"not there":                 {required(), object{"Role": "x"}, missing},
		"null":                      {required(), object{"role": nil}, missing},
		"a value":                   {required("admin", "ops"), object{"role": "ops"}, ""},
		"in a list":                 {required("admin"), object{"role": []any{"x", "admin"}}, ""},
		"another value":             {required("admin"), object{"role": "adm"}, other},
		"not in the list":           {required("admin"), object{"role": []string{"x"}}, other},
		"a list in a list":          {required("admin"), object{"role": []any{[]string{"admin"}}}, other},
		"an object with it":         {required("admin"), object{"role": object{"admin": "admin"}}, other},
		"a number":                  {required("7"), object{"role": 7}, ""},
		"a number as a text":        {required("7"), object{"role": "7"}, ""},
		"a large number":            {required("9007199254740993"), object{"role": 9007199254740993}, ""},
		"a boolean":                 {required("true"), object{"role": true}, ""},
		"within the leeway":         {leeway, at(-29, 30), ""},
		"leeway over":               {leeway, at(-30, 31), `{"exp":"token expired","nbf":"token not valid yet"}`},
		"leeway stretches no limit": {leeway, at(61, 0), `{"exp":"exceeds maximum allowed expiration"}`},
		"all at fault": {
			JWT{ClaimsToVerify: []string{"exp"}, Audience: []string{"a"}, RequiredClaims: map[string][]string{"b": nil, "a": {"x"}}},
			object{"a": "y"},
			`{"exp":"must be a number","aud":"is not this audience","a":"is not one of the values required","b":"is required"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ask := inProcess(t, oneRoute("", Plugins{JWT: &tc.jwt}), cached(Options{}))
			for range 2 {
				a := ask("/demo?jwt=" + hs(appSecret, "app-key", tc.claims))
				if tc.body == "" {
					a.seen(t)
				} else if a.status != 401 || a.body != tc.body {
					t.Errorf("%d %s, want 401 %s", a.status, a.body, tc.body)
				}
			}
		})
	}
}

// What a route asks for is asked of cached tokens, too, and of each route by itself.
func TestDemandsArePerRoute(t *testing.T) {
	t.Parallel()
	cfg := oneRoute("", Plugins{JWT: &JWT{}})
	cfg.Services[0].Routes = append(cfg.Services[0].Routes, Route{Name: "strict", Paths: []string{"/strict"}, Plugins: Plugins{JWT: &JWT{Audience: []string{"a"}}}})
	ask := inProcess(t, cfg, cached(Options{Clock: func() time.Time { return now }}))
	token := hs(appSecret, "app-key")
	ask("/demo?jwt=" + token).seen(t)
	if a := ask("/strict?jwt=" + token); a.status != 401 || !strings.Contains(a.body, "aud") {
		t.Errorf("%d %s", a.status, a.body)
	}
}
