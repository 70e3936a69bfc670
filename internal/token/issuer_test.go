package token

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

const issuerURL = "https://id.example"

// ring signs with one key for each set and algorithm.
type ring struct {
	keys map[key.SetName]map[jose.Algorithm]*jose.Key
	err  error
}

// testKeys are made once: RSA keys take their time.
var testKeys = sync.OnceValues(func() (map[key.SetName]map[jose.Algorithm]*jose.Key, error) {
	keys := map[key.SetName]map[jose.Algorithm]*jose.Key{}
	for _, set := range []key.SetName{AccessSet, SessionSet} {
		keys[set] = map[jose.Algorithm]*jose.Key{}
		for _, alg := range []jose.Algorithm{jose.ES256, jose.RS256, jose.EdDSA} {
			k, err := jose.Generate(alg, "")
			if err != nil {
				return nil, err
			}
			keys[set][alg] = k
		}
	}
	return keys, nil
})

func newRing(t *testing.T) *ring {
	t.Helper()
	keys, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	return &ring{keys: keys}
}

func (r *ring) Sign(_ context.Context, set key.SetName, alg jose.Algorithm, typ string, claims []byte) (string, error) {
	if r.err != nil {
		return "", r.err
	}
	if alg == "" {
		alg = jose.ES256
	}
	k, ok := r.keys[set][alg]
	if !ok {
		return "", errors.New("no such key")
	}
	return k.Sign(typ, claims)
}

// shared is the secret of every app.
type shared struct{ key *jose.Key }

func (s shared) SigningKey(context.Context, *app.App, time.Time) (*jose.Key, error) {
	if s.key == nil {
		return nil, fault.New(fault.Denied, "no valid secret")
	}
	return s.key, nil
}

// fixture is an issuer over fakes, with a clock that the test moves.
type fixture struct {
	*Issuer
	ring     *ring
	families *memory
	subjects *people
	mu       sync.Mutex
	now      time.Time
}

func open(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{ring: newRing(t), families: &memory{rows: map[FamilyID]Family{}}, subjects: &people{}, now: noon}
	secretKey, err := jose.NewSecretKey(jose.HS256, "sec_1", []byte(strings.Repeat("s", 46)))
	if err != nil {
		t.Fatal(err)
	}
	f.Issuer, err = New(Config{
		Issuer: issuerURL, Audience: "https://api.example", SessionAudience: "https://chat.example",
		AccessTTL: 15 * time.Minute, RefreshTTL: 24 * time.Hour, SessionTTL: 10 * time.Minute,
		Keys: f.ring, Apps: shared{secretKey}, Families: f.families, Subjects: f.subjects, Revocations: &taken{},
		Clock: func() time.Time { f.mu.Lock(); defer f.mu.Unlock(); return f.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) sleep(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// verify checks the token with go-jose and returns its header and claims.
func verify(t *testing.T, token string, k *jose.Key, material any) (gojose.Header, map[string]any) {
	t.Helper()
	jws, err := gojose.ParseSignedCompact(token, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(k.Algorithm())})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := jws.Verify(material)
	if err != nil {
		t.Fatalf("go-jose refuses the token: %v", err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return jws.Signatures[0].Header, claims
}

func TestAccess(t *testing.T) {
	t.Parallel()
	f := open(t)
	for name, tc := range map[string]struct {
		request AccessRequest
		alg     jose.Algorithm
		want    map[string]any
	}{
		"a user's, of an app": {
			AccessRequest{App: "app_1", Subject: "usr_1", Scope: "chat orders", Algorithm: jose.RS256},
			jose.RS256,
			map[string]any{"sub": "usr_1", "client_id": "app_1", "aud": "https://api.example", "scope": "chat orders"},
		},
		"without an app": {
			AccessRequest{Subject: "usr_1"},
			jose.ES256,
			map[string]any{"sub": "usr_1", "client_id": "carnet", "aud": "https://api.example"},
		},
		"the app's own": {
			AccessRequest{App: "app_1", Subject: "app_1", Audience: "https://other.example", Algorithm: jose.EdDSA},
			jose.EdDSA,
			map[string]any{"sub": "app_1", "client_id": "app_1", "aud": "https://other.example"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := f.Access(t.Context(), tc.request)
			if err != nil {
				t.Fatal(err)
			}
			if got.ExpiresIn != 15*time.Minute || got.Scope != tc.request.Scope {
				t.Errorf("Access() = %v, %q", got.ExpiresIn, got.Scope)
			}
			k := f.ring.keys[AccessSet][tc.alg]
			header, claims := verify(t, got.Token, k, k.Public().Crypto())
			if header.KeyID != k.ID() || header.ExtraHeaders["typ"] != "at+jwt" {
				t.Errorf("header = %+v", header)
			}
			if jti, _ := claims["jti"].(string); len(jti) < 26 {
				t.Errorf("jti = %q, want at least 128 bits", jti)
			}
			delete(claims, "jti")
			tc.want["iss"] = issuerURL
			tc.want["iat"] = float64(noon.Unix())
			tc.want["exp"] = float64(noon.Unix() + 900)
			if diff := cmp.Diff(tc.want, claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTokensDiffer(t *testing.T) {
	t.Parallel()
	f := open(t)
	r := AccessRequest{Subject: "usr_1", Algorithm: jose.EdDSA} // deterministic: only the jti differs
	a, err := f.Access(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := f.Access(t.Context(), r); err != nil || a.Token == b.Token {
		t.Errorf("two tokens are the same, %v", err)
	}
}

func TestAccessRefuses(t *testing.T) {
	t.Parallel()
	f := open(t)
	for name, subject := range map[string]string{
		"empty": "", "long": strings.Repeat("x", 257), "broken UTF-8": "a\xff", "replacement": "a\ufffd", "control": "a\x00b", "line": "a\nb",
	} {
		if _, err := f.Access(t.Context(), AccessRequest{Subject: subject}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: Access() error = %v", name, err)
		}
	}
	if _, err := f.Access(t.Context(), AccessRequest{Subject: "usr_1", Algorithm: jose.PS512}); err == nil {
		t.Error("Access() with an algorithm that has no key")
	}
	if _, err := f.Access(t.Context(), AccessRequest{Subject: strings.Repeat("x", 256)}); err != nil {
		t.Errorf("256 bytes: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*Config){
		"no issuer":        func(c *Config) { c.Issuer = "" },
		"no keys":          func(c *Config) { c.Keys = nil },
		"no apps":          func(c *Config) { c.Apps = nil },
		"no families":      func(c *Config) { c.Families = nil },
		"no subjects":      func(c *Config) { c.Subjects = nil },
		"no revocations":   func(c *Config) { c.Revocations = nil },
		"no access time":   func(c *Config) { c.AccessTTL = 0 },
		"no refresh time":  func(c *Config) { c.RefreshTTL = 0 },
		"short session":    func(c *Config) { c.SessionTTL = time.Second - 1 },
		"negative lifetme": func(c *Config) { c.AccessTTL = -time.Hour },
	} {
		c := open(t).c
		edit(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: New() takes it", name)
		}
	}
}

func TestSession(t *testing.T) {
	t.Parallel()
	f := open(t)
	for name, tc := range map[string]struct {
		request SessionRequest
		aud     string
	}{
		"app's secret":   {SessionRequest{App: &app.App{ID: "app_1", SessionAlgorithm: jose.HS256}, Subject: "ada@example.com"}, "https://chat.example"},
		"set sts":        {SessionRequest{App: &app.App{ID: "app_1", SessionAlgorithm: jose.RS256}, Subject: "anon_1", Anonymous: true}, "https://chat.example"},
		"app's audience": {SessionRequest{App: &app.App{ID: "app_1", SessionAlgorithm: jose.ES256, Audience: "https://a.example"}, Subject: "ada"}, "https://a.example"},
		"asked audience": {SessionRequest{App: &app.App{ID: "app_1", SessionAlgorithm: jose.ES256, Audience: "https://a.example"}, Subject: "ada", Audience: "https://b.example"}, "https://b.example"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signed, err := f.Session(t.Context(), tc.request)
			if err != nil {
				t.Fatal(err)
			}
			alg := tc.request.App.SessionAlgorithm
			k, material := f.ring.keys[SessionSet][alg], any([]byte(strings.Repeat("s", 46)))
			if alg.Symmetric() {
				k, _ = f.c.Apps.SigningKey(t.Context(), nil, noon)
			} else {
				material = k.Public().Crypto()
			}
			header, claims := verify(t, signed, k, material)
			if header.ExtraHeaders["typ"] != "JWT" || header.KeyID != k.ID() {
				t.Errorf("header = %+v", header)
			}
			delete(claims, "jti")
			want := map[string]any{
				"iss": "app_1", "sub": tc.request.Subject, "aud": tc.aud, "isAnonymous": tc.request.Anonymous,
				"iat": float64(noon.Unix()), "exp": float64(noon.Unix() + 600),
			}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSessionRefuses(t *testing.T) {
	t.Parallel()
	f := open(t)
	a := &app.App{ID: "app_1", SessionAlgorithm: jose.HS256}
	if _, err := f.Session(t.Context(), SessionRequest{App: a, Subject: "a\tb"}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("control character: %v", err)
	}
	f.c.Apps = shared{}
	if _, err := f.Session(t.Context(), SessionRequest{App: a, Subject: "ada"}); fault.KindOf(err) != fault.Denied {
		t.Errorf("no secret: %v", err)
	}
}

// TestClaimsHaveOneOrder pins the text: what signs it must not depend on a map.
func TestClaimsHaveOneOrder(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(accessClaims{"i", "s", "a", 2, 1, "j", "c", "x", &Actor{Subject: "b", Before: &Actor{Subject: "d"}}})
	if want := `{"iss":"i","sub":"s","aud":"a","exp":2,"iat":1,"jti":"j","client_id":"c","scope":"x","act":{"sub":"b","act":{"sub":"d"}}}`; string(text) != want || err != nil {
		t.Errorf("claims = %s, %v", text, err)
	}
}
