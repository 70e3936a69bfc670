package gateway

import (
	"crypto"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

// issuer publishes keys that a test changes.
type issuer struct {
	*httptest.Server
	mu      sync.Mutex
	keys    []*jose.Key
	down    bool
	leads   string // where it sends who asks for keys
	fetches atomic.Int64
}

func newIssuer(t *testing.T, keys ...*jose.Key) *issuer {
	t.Helper()
	i := &issuer{keys: keys}
	i.Server = httptest.NewServer(i)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.down:
		w.WriteHeader(http.StatusInternalServerError)
	case r.URL.Path == "/.well-known/openid-configuration":
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, i.URL, i.URL+"/keys")
	case r.URL.Path == "/keys" && i.leads != "":
		http.Redirect(w, r, i.leads, http.StatusFound)
	case r.URL.Path == "/keys", r.URL.Path == "/moved":
		i.fetches.Add(1)
		doc := struct {
			Keys []json.RawMessage `json:"keys"`
		}{[]json.RawMessage{}}
		for _, k := range i.keys {
			doc.Keys = append(doc.Keys, must(k.Public().MarshalJWK()))
		}
		_ = json.NewEncoder(w).Encode(doc)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (i *issuer) set(edit func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	edit()
}

// turning is a clock that a test turns.
type turning struct{ ahead atomic.Int64 }

func (c *turning) Now() time.Time       { return now.Add(time.Duration(c.ahead.Load())) }
func (c *turning) turn(d time.Duration) { c.ahead.Add(int64(d)) }

func issued(alg, kid string, key crypto.Signer, iss string) string {
	return sign(alg, key, object{"alg": alg, "kid": kid}, object{"iss": iss})
}

// withIssuer is a configuration with a credential whose keys i publishes.
func withIssuer(secret JWTSecret, j *JWT) Config {
	cfg := oneRoute("", Plugins{JWT: j})
	cfg.Consumers = append(cfg.Consumers, Consumer{Username: "tenant", JWTSecrets: []JWTSecret{secret}})
	return cfg
}

func TestRemoteKeys(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]func(i *issuer) JWTSecret{
		"jwks_uri":  func(i *issuer) JWTSecret { return JWTSecret{Key: i.URL, JWKSURI: i.URL + "/keys"} },
		"discovery": func(i *issuer) JWTSecret { return JWTSecret{Key: i.URL, Discovery: true} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t, joseKey("RS256", "k1", rsaA()), joseKey("ES256", "k2", es256()))
			clock := &turning{}
			ask := inProcess(t, withIssuer(secret(i), &JWT{}), cached(Options{Clock: clock.Now}))
			want := func(token string, status int) {
				t.Helper()
				a := ask("/demo?jwt=" + token)
				if a.status != status {
					t.Errorf("%d %s, want %d", a.status, a.body, status)
				}
				if status == 200 && a.seen(t).Header.Get("X-Consumer-Username") != "tenant" {
					t.Errorf("upstream got %s", a.body)
				}
			}
			first, second := issued("RS256", "k1", rsaA(), i.URL), issued("ES256", "k2", es256(), i.URL)
			third := issued("RS256", "k3", rsaB(), i.URL)
			want(first, 200)
			want(second, 200) // both at once: rotation overlaps
			want(issued("RS256", "", rsaA(), i.URL), 200)
			want(issued("RS256", "k1", rsaB(), i.URL), 401)
			want(issued("RS256", "k1", rsaA(), i.URL+"/"), 401)
			want(sign("HS256", []byte(publicPEM(rsaA())), object{"alg": "HS256", "kid": "k1"}, object{"iss": i.URL}), 401)
			if n := i.fetches.Load(); n != 1 {
				t.Errorf("%d fetches", n)
			}
			i.set(func() { i.keys = append(i.keys[1:], joseKey("RS256", "k3", rsaB())) })
			want(third, 401) // an unknown kid asks again after the cooldown only
			clock.turn(11 * time.Second)
			want(third, 200)
			want(first, 401) // and what is taken out is gone, from the cache too
			want(second, 200)
			i.set(func() { i.down = true })
			clock.turn(30 * time.Minute)
			want(second, 200)
			clock.turn(time.Hour)
			a := ask("/demo?jwt=" + second)
			if a.status != 503 || a.header.Get("Retry-After") != "1" {
				t.Errorf("%d %s with keys too old", a.status, a.body)
			}
			i.set(func() { i.down = false })
			clock.turn(2 * time.Second)
			want(second, 200)
		})
	}
}

// What is believed because of where it lies is not followed elsewhere.
func TestRemoteKeysLeadNowhere(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, joseKey("RS256", "k1", rsaA()))
	i.leads = i.URL + "/moved"
	ask := inProcess(t, withIssuer(JWTSecret{Key: "iss", JWKSURI: i.URL + "/keys"}, &JWT{}), Options{})
	if a := ask("/demo?jwt=" + issued("RS256", "k1", rsaA(), "iss")); a.status != 503 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if i.fetches.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

// Keys of an issuer verify its devices, and no other dialect reaches around its name.
func TestRemoteKeysInDialects(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, joseKey("RS256", "k1", rsaA()), joseKey("RS256", "k2", rsaB()))
	j := &JWT{IssuerPrefixes: []string{"fleet"}, KidLookup: true}
	ask := inProcess(t, withIssuer(JWTSecret{Key: "fleet", JWKSURI: i.URL + "/keys"}, j), Options{})
	const device = "fleet-d1-1591600000000"
	for name, tc := range map[string]struct {
		token  string
		status int
	}{
		"first key":         {issued("RS256", "k1", rsaA(), device), 200},
		"second key":        {issued("RS256", "k2", rsaB(), device), 200},
		"unknown key":       {issued("RS256", "k3", rsaB(), device), 401},
		"a kid of the file": {issued("RS256", "mobilev2", rsaA(), device), 401},
		"another's issuer":  {issued("RS256", "k1", rsaA(), "mobilev2-d1-1591600000000"), 401},
		"a kid for anybody": {issued("RS256", "k1", rsaA(), "anybody"), 401}, // fetched kids name nobody by themselves
	} {
		if a := ask("/demo?jwt=" + tc.token); a.status != tc.status {
			t.Errorf("%s: %d %s, want %d", name, a.status, a.body, tc.status)
		}
	}
}

// A reload that does not touch the issuer fetches nothing again.
func TestReloadKeepsRemoteKeys(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, joseKey("RS256", "k1", rsaA()))
	cfg := withIssuer(JWTSecret{Key: "iss", JWKSURI: i.URL + "/keys"}, &JWT{})
	cfg.Services[0].URL = newEcho(t).URL
	g, server := newGateway(t, cached(Options{Config: cfg}))
	target := "/demo?jwt=" + issued("RS256", "k1", rsaA(), "iss")
	call(t, server, "GET", target).seen(t)
	cfg.Consumers = append([]Consumer{{Username: "another"}}, cfg.Consumers...)
	if err := g.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	call(t, server, "GET", target).seen(t)
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
	cfg.Consumers = cfg.Consumers[:len(cfg.Consumers)-1]
	if err := g.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if a := call(t, server, "GET", target); a.status != 401 {
		t.Errorf("%d after the credential is gone", a.status)
	}
}

func TestPublicKeys(t *testing.T) {
	t.Parallel()
	cfg := oneRoute("", Plugins{JWT: &JWT{IssuerPrefixes: []string{"mobilev2"}}})
	s := &cfg.Consumers[1].JWTSecrets[0]
	s.PublicKey, s.PublicKeys = "", []string{publicPEM(rsaA()), publicPEM(rsaB())}
	ask := inProcess(t, cfg, cached(Options{}))
	for i, key := range []crypto.Signer{rsaA(), rsaB()} {
		for _, kid := range []string{"", "whatever"} { // nobody agreed on a kid
			if a := ask("/demo?jwt=" + issued("RS256", kid, key, deviceIssuer)); a.status != 200 {
				t.Errorf("key %d: %d %s", i, a.status, a.body)
			}
		}
	}
	if a := ask("/demo?jwt=" + issued("ES256", "", es256(), deviceIssuer)); a.message(t) != "Invalid algorithm" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestRemoteConfig(t *testing.T) {
	t.Parallel()
	pem := publicPEM(rsaA())
	for name, tc := range map[string]struct {
		secret JWTSecret
		want   string // "": it is taken
	}{
		"jwks_uri":               {JWTSecret{Key: "k", JWKSURI: "https://issuer.example/keys"}, ""},
		"on loopback":            {JWTSecret{Key: "k", JWKSURI: "http://127.0.0.1:9/keys"}, ""},
		"discovery":              {JWTSecret{Key: "https://issuer.example/realm", Discovery: true}, ""},
		"four keys":              {JWTSecret{Key: "k", Algorithm: "RS256", PublicKeys: []string{pem, pem, pem, pem}}, ""},
		"without TLS":            {JWTSecret{Key: "k", JWKSURI: "http://issuer.example/keys"}, "jwks_uri: must be an https URL"},
		"a file":                 {JWTSecret{Key: "k", JWKSURI: "file:///etc/passwd"}, "jwks_uri: must be an https URL"},
		"with a password":        {JWTSecret{Key: "k", JWKSURI: "https://a:b@issuer.example"}, "jwks_uri: must be an https URL"},
		"discovery of a name":    {JWTSecret{Key: "k", Discovery: true}, "key: must be the issuer's https URL"},
		"discovery without TLS":  {JWTSecret{Key: "http://issuer.example", Discovery: true}, "key: must be the issuer's https URL"},
		"discovery with a query": {JWTSecret{Key: "https://issuer.example?x", Discovery: true}, "key: must be the issuer's https URL"},
		"both":                   {JWTSecret{Key: "https://i.example", JWKSURI: "https://i.example/k", Discovery: true}, "set exactly one of"},
		"an algorithm":           {JWTSecret{Key: "k", Algorithm: "RS256", JWKSURI: "https://i.example/k"}, "algorithm: leave it out"},
		"no key":                 {JWTSecret{JWKSURI: "https://i.example/k"}, "key: write a name"},
		"five keys":              {JWTSecret{Key: "k", Algorithm: "RS256", PublicKeys: []string{pem, pem, pem, pem, pem}}, "public_keys: must be at most 4"},
		"keys without algorithm": {JWTSecret{Key: "k", PublicKeys: []string{pem}}, "algorithm: must be that of the public key"},
		"one that is no key":     {JWTSecret{Key: "k", Algorithm: "RS256", PublicKeys: []string{pem, "x"}}, "public_keys[1]: "},
		"one of another kind":    {JWTSecret{Key: "k", Algorithm: "RS256", PublicKeys: []string{pem, publicPEM(es256())}}, "public_keys[1]: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := withIssuer(tc.secret, &JWT{})
			cfg.Services[0].URL = "http://h"
			err := cfg.Validate()
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Validate() = %v, want %q", err, tc.want)
			}
		})
	}
}
