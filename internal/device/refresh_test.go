package device

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

const (
	realm   = "https://sunbird.example/auth/realms/sunbird"
	realmID = "kid-of-the-realm"
)

var (
	realmSecret = []byte("0123456789abcdef0123456789abcdef")
	// Keycloak's key and somebody else's: RSA keys take long to make.
	realmKey = sync.OnceValue(func() *jose.Key { return rsaKey(realmID) })
	otherKey = sync.OnceValue(func() *jose.Key { return rsaKey(realmID) })
)

func rsaKey(kid string) *jose.Key {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	k, err := jose.NewKey(jose.RS256, kid, private)
	if err != nil {
		panic(err)
	}
	return k
}

type object = map[string]any

// keycloak makes a token. A key without a kid signs with HS256.
func keycloak(t *testing.T, k *jose.Key, typ string, claims object) string {
	t.Helper()
	all := object{"iss": realm, "sub": "f:5a8a3f2b:0e70f455", "aud": realm, "iat": noon.Unix() - 1000, "typ": "Offline", "exp": 0}
	maps.Copy(all, claims)
	for name, value := range all {
		if value == nil {
			delete(all, name)
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	token, err := k.Sign(typ, text)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// withoutKid is an offline token whose header does not name its key.
func withoutKid(t *testing.T) string {
	t.Helper()
	_, rest, _ := strings.Cut(keycloak(t, realmKey(), "JWT", nil), ".")
	claims, _, _ := strings.Cut(rest, ".")
	input := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + claims
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, realmKey().Crypto().(*rsa.PrivateKey), crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func hmacKey(t *testing.T, alg jose.Algorithm, value []byte) *jose.Key {
	t.Helper()
	k, err := jose.NewImportedSecretKey(alg, "", value)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// learner is a service that knows one user.
type learner struct {
	asked   []string
	profile Profile
	err     error
}

func (l *learner) Roles(_ context.Context, user string) (Profile, error) {
	l.asked = append(l.asked, user)
	return l.profile, l.err
}

func refresherConfig(t *testing.T) RefresherConfig {
	t.Helper()
	jwk, err := realmKey().MarshalJWK()
	if err != nil {
		t.Fatal(err)
	}
	public, err := carnet.ParseJWK(jwk)
	if err != nil {
		t.Fatal(err)
	}
	source, err := carnet.StaticKeys(public)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := carnet.ImportedSecretKey("HS256", "", realmSecret)
	if err != nil {
		t.Fatal(err)
	}
	k, err := jose.Generate(jose.ES256, "accessv1_key1")
	if err != nil {
		t.Fatal(err)
	}
	return RefresherConfig{
		Issuer: realm, Keys: source, Secret: shared, Signer: &signer{key: k}, Set: "accessv1",
		OfflineValidity: 30 * 24 * time.Hour, AccessValidity: 12 * time.Hour, Clock: func() time.Time { return noon },
	}
}

func newRefresher(t *testing.T, edit ...func(*RefresherConfig)) (*Refresher, *signer) {
	t.Helper()
	c := refresherConfig(t)
	for _, e := range edit {
		e(&c)
	}
	r, err := NewRefresher(c)
	if err != nil {
		t.Fatal(err)
	}
	return r, c.Signer.(*signer)
}

// claimsOf verifies what the refresher signed.
func claimsOf(t *testing.T, s *signer, token string) (header, claims object) {
	t.Helper()
	var u jose.Unverified
	if err := u.Parse(token); err != nil {
		t.Fatal(err)
	}
	if err := u.Verify(s.key.Public()); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(u.Payload(), &claims); err != nil {
		t.Fatal(err)
	}
	return object{"alg": string(u.Algorithm), "kid": u.KeyID, "typ": u.Type}, claims
}

var everybody = []any{object{"role": "PUBLIC", "scope": []any{}}}

func TestRefreshOffline(t *testing.T) {
	t.Parallel()
	r, s := newRefresher(t)
	got, err := r.Refresh(t.Context(), keycloak(t, realmKey(), "JWT", nil))
	if err != nil {
		t.Fatal(err)
	}
	if got.ExpiresIn != 12*time.Hour || got.Refresh != 0 {
		t.Errorf("it expires in %v, and the refresh token in %v", got.ExpiresIn, got.Refresh)
	}
	header, claims := claimsOf(t, s, got.Token)
	if diff := cmp.Diff(object{"alg": "ES256", "kid": "accessv1_key1", "typ": "JWT"}, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	want := object{
		"exp": float64(noon.Unix() + 43200), "iat": float64(noon.Unix()), "iss": realm, "aud": realm,
		"sub": "f:5a8a3f2b:0e70f455", "typ": "Bearer", "roles": everybody,
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestRefreshLifetimes(t *testing.T) {
	t.Parallel()
	const day = 24 * 60 * 60
	for name, tc := range map[string]struct {
		key      *jose.Key
		claims   object
		expires  time.Duration
		refresh  time.Duration
		audience any
	}{
		"offline, exp is past":         {realmKey(), object{"exp": noon.Unix() - 5}, 12 * time.Hour, 0, realm},
		"offline, exp is missing":      {realmKey(), object{"exp": nil}, 12 * time.Hour, 0, realm},
		"offline, near its end":        {realmKey(), object{"iat": noon.Unix() - 30*day + 60}, time.Minute, 0, realm},
		"offline, in its last second":  {realmKey(), object{"iat": noon.Unix() - 30*day}, 0, 0, realm},
		"refresh":                      {hmacKey(t, jose.HS256, realmSecret), object{"typ": "Refresh", "exp": noon.Unix() + 7*day}, 12 * time.Hour, 7 * day * time.Second, realm},
		"refresh, near its end":        {hmacKey(t, jose.HS256, realmSecret), object{"typ": "Refresh", "exp": noon.Unix() + 600}, 10 * time.Minute, 10 * time.Minute, realm},
		"refresh, RS256":               {realmKey(), object{"typ": "Refresh", "exp": noon.Unix() + 600}, 10 * time.Minute, 10 * time.Minute, realm},
		"refresh, in its last second":  {realmKey(), object{"typ": "Refresh", "exp": noon.Unix()}, 0, 0, realm},
		"several audiences":            {realmKey(), object{"aud": []string{"a", "b"}}, 12 * time.Hour, 0, []any{"a", "b"}},
		"no audience":                  {realmKey(), object{"aud": nil}, 12 * time.Hour, 0, nil},
		"HS256 token with its own kid": {mustID(t, hmacKey(t, jose.HS256, realmSecret), "hmac-kid"), object{}, 12 * time.Hour, 0, realm},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, s := newRefresher(t)
			got, err := r.Refresh(t.Context(), keycloak(t, tc.key, "JWT", tc.claims))
			if err != nil {
				t.Fatal(err)
			}
			if got.ExpiresIn != tc.expires || got.Refresh != tc.refresh {
				t.Errorf("lifetimes are %v and %v, want %v and %v", got.ExpiresIn, got.Refresh, tc.expires, tc.refresh)
			}
			_, claims := claimsOf(t, s, got.Token)
			if diff := cmp.Diff(tc.audience, claims["aud"]); diff != "" {
				t.Errorf("aud (-want +got):\n%s", diff)
			}
		})
	}
}

func mustID(t *testing.T, k *jose.Key, id string) *jose.Key {
	t.Helper()
	named, err := k.WithID(id)
	if err != nil {
		t.Fatal(err)
	}
	return named
}

func TestRefreshRefuses(t *testing.T) {
	t.Parallel()
	good := keycloak(t, realmKey(), "JWT", nil)
	part := strings.Split(good, ".")
	publicPEM, err := realmKey().MarshalJWK() // what a confused verifier would take for a secret
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"nothing":                    "",
		"no token":                   "abc",
		"two parts":                  part[0] + "." + part[1],
		"four parts":                 good + ".x",
		"no signature":               part[0] + "." + part[1] + ".",
		"another's claims":           part[0] + "." + strings.Split(keycloak(t, realmKey(), "JWT", object{"sub": "admin"}), ".")[1] + "." + part[2],
		"alg none":                   "eyJhbGciOiJub25lIiwia2lkIjoia2lkLW9mLXRoZS1yZWFsbSJ9." + part[1] + ".",
		"another key":                keycloak(t, otherKey(), "JWT", nil),
		"another kid":                keycloak(t, mustID(t, realmKey(), "other"), "JWT", nil),
		"no kid":                     withoutKid(t),
		"another algorithm":          keycloak(t, hmacKey(t, jose.HS512, bytes.Repeat(realmSecret, 2)), "JWT", nil),
		"another secret":             keycloak(t, hmacKey(t, jose.HS256, []byte("another-secret-of-32-bytes-length")), "JWT", nil),
		"public key as secret":       keycloak(t, mustID(t, hmacKey(t, jose.HS256, publicPEM), realmID), "JWT", nil),
		"typ JWS":                    keycloak(t, realmKey(), "JWS", nil),
		"no typ":                     keycloak(t, realmKey(), "", nil),
		"another realm":              keycloak(t, realmKey(), "JWT", object{"iss": realm + "2"}),
		"no issuer":                  keycloak(t, realmKey(), "JWT", object{"iss": nil}),
		"no subject":                 keycloak(t, realmKey(), "JWT", object{"sub": nil}),
		"an access token":            keycloak(t, realmKey(), "JWT", object{"typ": "Bearer", "exp": noon.Unix() + 60}),
		"an id token":                keycloak(t, realmKey(), "JWT", object{"typ": "ID"}),
		"no claim typ":               keycloak(t, realmKey(), "JWT", object{"typ": nil}),
		"a number as typ":            keycloak(t, realmKey(), "JWT", object{"typ": 1}),
		"offline, too old":           keycloak(t, realmKey(), "JWT", object{"iat": noon.Unix() - 30*24*60*60 - 1}),
		"offline, of tomorrow":       keycloak(t, realmKey(), "JWT", object{"iat": noon.Unix() + 1}),
		"offline, without iat":       keycloak(t, realmKey(), "JWT", object{"iat": nil}),
		"offline, iat is a text":     keycloak(t, realmKey(), "JWT", object{"iat": "1"}),
		"refresh, expired":           keycloak(t, realmKey(), "JWT", object{"typ": "Refresh", "exp": noon.Unix() - 1}),
		"refresh, exp 0":             keycloak(t, realmKey(), "JWT", object{"typ": "Refresh", "exp": 0}),
		"refresh, without exp":       keycloak(t, realmKey(), "JWT", object{"typ": "Refresh", "exp": nil}),
		"too long":                   strings.Repeat("a", 20<<10),
		"our own access token again": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, s := newRefresher(t)
			if name == "our own access token again" {
				first, err := r.Refresh(t.Context(), good)
				if err != nil {
					t.Fatal(err)
				}
				token, s.sets = first.Token, nil
			}
			got, err := r.Refresh(t.Context(), token)
			if fault.KindOf(err) != fault.Invalid || got != (Refreshed{}) {
				t.Errorf("Refresh() = %v, %v", got, err)
			}
			if len(s.sets) != 0 {
				t.Error("something was signed")
			}
			if err != nil && len(token) > 8 && strings.Contains(err.Error(), token) {
				t.Error("the error shows the token")
			}
			if f := fault.Public(err); f.Msg != "the refresh token is not good" {
				t.Errorf("the reason is shown: %q", f.Msg)
			}
		})
	}
}

func TestRefreshTakesOneKindOfKeyAlone(t *testing.T) {
	t.Parallel()
	rs, hs := keycloak(t, realmKey(), "JWT", nil), keycloak(t, hmacKey(t, jose.HS256, realmSecret), "JWT", nil)
	onlyHS, _ := newRefresher(t, func(c *RefresherConfig) { c.Keys = nil })
	onlyRS, _ := newRefresher(t, func(c *RefresherConfig) { c.Secret = nil })
	for name, tc := range map[string]struct {
		r  *Refresher
		in string
		ok bool
	}{
		"secret, HS256": {onlyHS, hs, true}, "secret, RS256": {onlyHS, rs, false},
		"key, RS256": {onlyRS, rs, true}, "key, HS256": {onlyRS, hs, false},
	} {
		if _, err := tc.r.Refresh(t.Context(), tc.in); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefreshRoles(t *testing.T) {
	t.Parallel()
	scope := json.RawMessage(`[{"organisationId":"o-1"}]`)
	creator := object{"role": "CONTENT_CREATOR", "scope": []any{object{"organisationId": "o-1"}}}
	for name, tc := range map[string]struct {
		learner learner
		subject string
		asked   string
		roles   []any
		name    any
	}{
		"PUBLIC is appended": {
			learner{profile: Profile{Roles: []Role{{"CONTENT_CREATOR", scope}}, Name: "Ann"}},
			"f:5a8a:u-1", "u-1",
			[]any{creator, everybody[0]},
			"Ann",
		},
		"PUBLIC is there": {
			learner{profile: Profile{Roles: []Role{{"Public", json.RawMessage("[]")}, {"CONTENT_CREATOR", scope}}, Name: "Ann"}},
			"u-1", "u-1",
			[]any{object{"role": "Public", "scope": []any{}}, creator},
			"Ann",
		},
		"PUBLIC alone has no name": {learner{profile: Profile{Roles: []Role{public}, Name: "Ann"}}, "f:u-1", "u-1", everybody, nil},
		"no roles":                 {learner{profile: Profile{Name: "Ann"}}, "u-1", "u-1", everybody, nil},
		"no answer":                {learner{err: errors.New("down")}, "u-1", "u-1", everybody, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			r, s := newRefresher(t, func(c *RefresherConfig) {
				c.Roles, c.Log = &tc.learner, slog.New(slog.NewTextHandler(&log, nil))
			})
			got, err := r.Refresh(t.Context(), keycloak(t, realmKey(), "JWT", object{"sub": tc.subject}))
			if err != nil {
				t.Fatal(err)
			}
			_, claims := claimsOf(t, s, got.Token)
			if diff := cmp.Diff([]any{tc.roles, tc.name}, []any{claims["roles"], claims["name"]}); diff != "" {
				t.Errorf("roles and name (-want +got):\n%s", diff)
			}
			if len(tc.learner.asked) != 1 || tc.learner.asked[0] != tc.asked {
				t.Errorf("asked for %v, want %s", tc.learner.asked, tc.asked)
			}
			if logged := log.Len() > 0; logged != (tc.learner.err != nil) || strings.Contains(log.String(), tc.asked) {
				t.Errorf("the log says %q", &log)
			}
		})
	}
}

func TestRefreshFaults(t *testing.T) {
	t.Parallel()
	token := keycloak(t, realmKey(), "JWT", nil)
	r, s := newRefresher(t)
	for kind, cause := range map[fault.Kind]error{fault.Unavailable: fault.New(fault.Unavailable, "busy"), fault.Internal: errors.New("broken")} {
		s.err = cause
		if _, err := r.Refresh(t.Context(), token); fault.KindOf(err) != kind {
			t.Errorf("%v: Refresh() error = %v", cause, err)
		}
	}
	down, _ := newRefresher(t, func(c *RefresherConfig) { c.Keys = unreachable{} })
	if _, err := down.Refresh(t.Context(), token); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("keys out of reach: Refresh() error = %v", err)
	}
}

type unreachable struct{}

func (unreachable) Find(context.Context, carnet.Hint) ([]*carnet.Key, error) {
	return nil, carnet.ErrKeysUnavailable
}
func (unreachable) Generation() uint64 { return 1 }

func TestNewRefresherRefuses(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*RefresherConfig){
		"no issuer":           func(c *RefresherConfig) { c.Issuer = "" },
		"no signer":           func(c *RefresherConfig) { c.Signer = nil },
		"no set":              func(c *RefresherConfig) { c.Set = "" },
		"no keys":             func(c *RefresherConfig) { c.Keys, c.Secret = nil, nil },
		"no offline validity": func(c *RefresherConfig) { c.OfflineValidity = 0 },
		"no access validity":  func(c *RefresherConfig) { c.AccessValidity = -1 },
		"HS512": func(c *RefresherConfig) {
			k, err := carnet.ImportedSecretKey("HS512", "", realmSecret)
			if err != nil {
				t.Fatal(err)
			}
			c.Secret = k
		},
	} {
		c := refresherConfig(t)
		edit(&c)
		if _, err := NewRefresher(c); err == nil {
			t.Errorf("%s: NewRefresher() takes it", name)
		}
	}
}

// FuzzRefresh: whatever is sent is refused as not good, unless it is the one token
// that is.
func FuzzRefresh(f *testing.F) {
	k, err := jose.NewImportedSecretKey(jose.HS256, "", realmSecret)
	if err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(object{"iss": realm, "sub": "u", "iat": noon.Unix(), "typ": "Offline"})
	if err != nil {
		f.Fatal(err)
	}
	good, err := k.Sign("JWT", text)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good + "=")
	f.Add("a.b.c")
	shared, err := carnet.ImportedSecretKey("HS256", "", realmSecret)
	if err != nil {
		f.Fatal(err)
	}
	own, err := jose.Generate(jose.ES256, "")
	if err != nil {
		f.Fatal(err)
	}
	r, err := NewRefresher(RefresherConfig{
		Issuer: realm, Secret: shared, Signer: &signer{key: own}, Set: "s", OfflineValidity: time.Hour, AccessValidity: time.Hour,
		Clock: func() time.Time { return noon },
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		_, err := r.Refresh(t.Context(), token)
		if (err == nil) != (token == good) || err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("Refresh(%q) error = %v", token, err)
		}
	})
}
