package gateway

import (
	"crypto"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

// sets is a source of key sets that a test can change.
type sets struct {
	mu   sync.Mutex
	keys map[string][]*jose.Key
	err  error
}

func (s *sets) put(name string, keys ...*jose.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = map[string][]*jose.Key{}
	}
	s.keys[name] = keys
}

func (s *sets) read(name string) ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out [][]byte
	for _, k := range s.keys[name] {
		out = append(out, must(k.MarshalJWK()))
	}
	return out, s.err
}

func joseKey(alg jose.Algorithm, kid string, k crypto.Signer) *jose.Key {
	return must(jose.NewKey(alg, kid, k))
}

// withSet is a configuration whose device prefix is a key set of our own.
func withSet(upstream string) Config {
	c := oneRoute(upstream, Plugins{JWT: &JWT{IssuerPrefixes: []string{"mobilev2"}}})
	c.Consumers[1].JWTSecrets[0] = JWTSecret{Key: "mobilev2", KeySet: "mobile_device"}
	return c
}

const deviceIssuer = "mobilev2-dev.app-7b1c-1591600000000"

func TestKidChoosesWithinThePrefix(t *testing.T) {
	t.Parallel()
	s := &sets{}
	s.put("mobile_device", joseKey("RS256", "mobilev2_key1", rsaA()), joseKey("ES256", "mobilev2_key2", es256()))
	cfg := withSet(newEcho(t).URL)
	cfg.Consumers[0].JWTSecrets = append(cfg.Consumers[0].JWTSecrets,
		JWTSecret{Key: "elsewhere", Algorithm: "RS256", PublicKey: publicPEM(rsaB())})
	_, server := newGateway(t, Options{Config: cfg, KeySet: s.read})
	es := func(header object) string {
		header["alg"] = "ES256"
		return sign("ES256", es256(), header, object{"iss": deviceIssuer})
	}
	const unknown = "No credentials found for given 'iss'"
	for name, tc := range map[string]struct{ token, refusal string }{
		"first key":                   {deviceToken(deviceIssuer, object{"kid": "mobilev2_key1"}), ""},
		"second key":                  {es(object{"kid": "mobilev2_key2"}), ""},
		"no kid":                      {deviceToken(deviceIssuer, nil), ""},
		"no kid, other algorithm":     {es(object{}), ""},
		"kid of another key":          {deviceToken(deviceIssuer, object{"kid": "mobilev2_key2"}), "Invalid algorithm"},
		"unknown kid":                 {deviceToken(deviceIssuer, object{"kid": "mobilev2_key3"}), unknown},
		"kid of another credential":   {sign("RS256", rsaB(), object{"alg": "RS256", "kid": "elsewhere"}, object{"iss": deviceIssuer}), unknown},
		"kid of a secret credential":  {sign("HS256", []byte(appSecret), object{"alg": "HS256", "kid": "app-key"}, object{"iss": deviceIssuer}), unknown},
		"secret for a device":         {hs(appSecret, deviceIssuer), "Invalid algorithm"},
		"prefix alone":                {deviceToken("mobilev2", nil), unknown},
		"prefix alone with kid":       {deviceToken("mobilev2", object{"kid": "mobilev2_key1"}), unknown},
		"not quite a device":          {deviceToken("mobilev2-abc", nil), unknown},
		"issuer missing, kid there":   {deviceToken("", object{"kid": "mobilev2_key1"}), "Invalid 'iss' in claims"},
		"plain issuer, foreign kid":   {sign("HS256", []byte(appSecret), object{"alg": "HS256", "kid": "mobilev2_key1"}, object{"iss": "app-key"}), ""},
		"plain issuer, PEM, any kid":  {sign("RS256", rsaB(), object{"alg": "RS256", "kid": "whatever"}, object{"iss": "elsewhere"}), ""},
		"wrong key of the right kid":  {sign("RS256", rsaB(), object{"alg": "RS256", "kid": "mobilev2_key1"}, object{"iss": deviceIssuer}), "Invalid signature"},
		"a token that never was one":  {"a.b.c", "Bad token; invalid JSON"},
		"a token of twenty kilobytes": {strings.Repeat("a", 20<<10), "Bad token; invalid JSON"},
		"an embedded key":             {sign("RS256", rsaB(), object{"alg": "RS256", "jwk": object{"kty": "RSA"}}, object{"iss": deviceIssuer}), "Invalid signature"},
		"a critical extension":        {deviceToken(deviceIssuer, object{"crit": []string{"x"}, "x": 1}), "Bad token; invalid claims"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := call(t, server, "GET", "/demo", "Authorization: Bearer "+tc.token)
			if tc.refusal == "" {
				a.seen(t)
				return
			}
			if a.status != 401 || a.message(t) != tc.refusal {
				t.Errorf("%d %s, want 401 %q", a.status, a.body, tc.refusal)
			}
		})
	}
}

func TestBarePrefix(t *testing.T) {
	t.Parallel()
	no := false
	cfg := oneRoute(newEcho(t).URL, Plugins{JWT: &JWT{IssuerPrefixes: []string{"mobilev2"}, DenyBarePrefix: &no}})
	_, server := newGateway(t, Options{Config: cfg})
	up := call(t, server, "GET", "/demo", "Authorization: Bearer "+deviceToken("mobilev2", nil)).seen(t)
	if id := up.Header.Get("X-Credential-Identifier"); id != "mobilev2" {
		t.Errorf("identity %q", id)
	}
}

// accessToken is one as RFC 9068 wants it, with edits.
func accessToken(typ string, edit object) string {
	claims := object{
		"iss": "https://carnet.example", "aud": "https://carnet.example", "sub": "u1", "client_id": "c1",
		"iat": now.Unix(), "exp": now.Unix() + 60, "jti": "j1",
	}
	for k, v := range edit {
		if claims[k] = v; v == nil {
			delete(claims, k)
		}
	}
	return sign("ES256", es256(), object{"alg": "ES256", "kid": "k", "typ": typ}, claims)
}

func TestAccessTokens(t *testing.T) {
	t.Parallel()
	s := &sets{}
	s.put("access", joseKey("ES256", "k", es256()))
	cfg := oneRoute(newEcho(t).URL, Plugins{JWT: &JWT{}})
	cfg.Consumers[1].JWTSecrets[0] = JWTSecret{KeySet: "access"}
	_, server := newGateway(t, Options{Config: cfg, KeySet: s.read, Issuer: "https://carnet.example"})
	const unauthorized, past, early = `{"message":"Unauthorized"}`, `{"exp":"token expired"}`, `{"nbf":"token not valid yet"}`
	for name, tc := range map[string]struct{ token, body string }{
		"good":                   {accessToken("at+jwt", nil), ""},
		"longer type":            {accessToken("application/at+jwt", nil), ""},
		"an ID token":            {accessToken("JWT", nil), unauthorized},
		"no type":                {accessToken("", nil), unauthorized},
		"another audience":       {accessToken("at+jwt", object{"aud": "https://other.example"}), unauthorized},
		"no audience":            {accessToken("at+jwt", object{"aud": nil}), unauthorized},
		"no expiry":              {accessToken("at+jwt", object{"exp": nil}), unauthorized},
		"no subject":             {accessToken("at+jwt", object{"sub": nil}), unauthorized},
		"no client":              {accessToken("at+jwt", object{"client_id": nil}), unauthorized},
		"no id":                  {accessToken("at+jwt", object{"jti": nil}), unauthorized},
		"expired":                {accessToken("at+jwt", object{"exp": now.Unix()}), past},
		"too early":              {accessToken("at+jwt", object{"nbf": now.Unix() + 1}), early},
		"a subject that is none": {accessToken("at+jwt", object{"sub": 1}), `{"message":"Bad token; invalid claims"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := call(t, server, "GET", "/demo", "Authorization: Bearer "+tc.token)
			if tc.body == "" {
				if id := a.seen(t).Header.Get("X-Credential-Identifier"); id != "https://carnet.example" {
					t.Errorf("identity %q", id)
				}
				return
			}
			if a.status != 401 || a.body != tc.body || a.header.Get("Www-Authenticate") != `Bearer error="invalid_token"` {
				t.Errorf("%d %s, WWW-Authenticate %q; want 401 %s", a.status, a.body, a.header.Get("Www-Authenticate"), tc.body)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	at := func(ahead int) int64 { return now.Unix() + int64(ahead) }
	for name, tc := range map[string]struct {
		claims object
		verify []string
		max    int
		body   string
	}{
		"nothing verified":       {object{"exp": at(-9), "nbf": at(9)}, nil, 0, ""},
		"both good":              {object{"exp": at(1), "nbf": at(0)}, []string{"exp", "nbf"}, 0, ""},
		"exp now":                {object{"exp": at(0)}, []string{"exp"}, 0, `{"exp":"token expired"}`},
		"exp a fraction ahead":   {object{"exp": float64(at(0)) + 0.5}, []string{"exp"}, 0, ""},
		"nbf ahead":              {object{"nbf": at(1)}, []string{"nbf"}, 0, `{"nbf":"token not valid yet"}`},
		"exp and nbf":            {object{"exp": at(-1), "nbf": at(1)}, []string{"nbf", "exp"}, 0, `{"exp":"token expired","nbf":"token not valid yet"}`},
		"neither there":          {object{}, []string{"exp", "nbf"}, 0, `{"exp":"must be a number","nbf":"must be a number"}`},
		"exp a string":           {object{"exp": "1"}, []string{"exp"}, 0, `{"exp":"must be a number"}`},
		"exp negative":           {object{"exp": -1}, []string{"exp"}, 0, `{"exp":"must be a number"}`},
		"nbf is not asked about": {object{"exp": at(1), "nbf": "x"}, []string{"exp"}, 0, ""},
		"as far as allowed":      {object{"exp": at(300)}, []string{"exp"}, 300, ""},
		"too far":                {object{"exp": at(301)}, []string{"exp"}, 300, `{"exp":"exceeds maximum allowed expiration"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			late := now.Add(400 * time.Millisecond) // the clock's second counts
			cfg := oneRoute("internal://echo", Plugins{JWT: &JWT{ClaimsToVerify: tc.verify, MaximumExpiration: tc.max}})
			_, server := newGateway(t, Options{
				Config: cfg, Internal: map[string]http.Handler{"echo": http.HandlerFunc(echo)},
				Clock: func() time.Time { return late },
			})
			a := call(t, server, "GET", "/demo?jwt="+hs(appSecret, "app-key", tc.claims))
			if tc.body == "" {
				a.seen(t)
			} else if a.status != 401 || a.body != tc.body {
				t.Errorf("%d %s, want 401 %s", a.status, a.body, tc.body)
			}
		})
	}
}

func TestRunOnPreflight(t *testing.T) {
	t.Parallel()
	no := false
	for name, tc := range map[string]struct {
		jwt    JWT
		method string
		status int
	}{
		"checked unless told otherwise": {JWT{}, "OPTIONS", 401},
		"let through":                   {JWT{RunOnPreflight: &no}, "OPTIONS", 200},
		"nothing else is":               {JWT{RunOnPreflight: &no}, "GET", 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, server := newGateway(t, Options{Config: oneRoute(newEcho(t).URL, Plugins{JWT: &tc.jwt})})
			if a := call(t, server, tc.method, "/demo"); a.status != tc.status {
				t.Errorf("%d %s, want %d", a.status, a.body, tc.status)
			}
		})
	}
}

// The plugin that the dialect comes from rewrote the credential it shared: many
// devices at once were counted as one another. Here each is itself.
func TestIdentityIsNotShared(t *testing.T) {
	t.Parallel()
	_, server := newGateway(t, Options{Config: oneRoute(newEcho(t).URL, Plugins{JWT: &JWT{IssuerPrefixes: []string{"mobilev2"}}})})
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			iss := "mobilev2-device" + strings.Repeat("x", i) + "-1591600000000"
			token := deviceToken(iss, object{"kid": "mobilev2_key2"})
			if a := call(t, server, "GET", "/demo", "Authorization: Bearer "+token); a.status != 200 || !strings.Contains(a.body, `"X-Credential-Identifier":["`+iss+`"]`) {
				t.Errorf("%s: %d %s", iss, a.status, a.body)
			}
		})
	}
	wg.Wait()
	theft := sign("HS256", []byte(appSecret), object{"alg": "HS256", "kid": "app-key"}, object{"iss": "victim"})
	if a := call(t, server, "GET", "/demo", "Authorization: Bearer "+theft); a.status != 401 {
		t.Errorf("a secret's holder chose an issuer: %d %s", a.status, a.body)
	}
	up := call(t, server, "GET", "/demo", "Authorization: Bearer "+hs(appSecret, "app-key")).seen(t)
	if id := up.Header.Get("X-Credential-Identifier"); id != "app-key" {
		t.Errorf("identity of the honest owner %q", id)
	}
}

var errDown = errors.New("down")
