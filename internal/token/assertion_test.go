package token

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

// shownOnce is the assertions that were used.
type shownOnce struct {
	mu      sync.Mutex
	expires map[[32]byte]time.Time
	err     error
}

func (s *shownOnce) UseAssertion(_ context.Context, id [32]byte, expires time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false, s.err
	}
	_, there := s.expires[id]
	s.expires[id] = expires
	return !there, nil
}

// appKeys has the key of app_1, and cannot fetch that of app_away.
type appKeys struct{ key *jose.Key }

func (appKeys) Generation() uint64 { return 0 }

func (k appKeys) Find(_ context.Context, h carnet.Hint) ([]*carnet.Key, error) {
	switch h.Issuer {
	case "app_away":
		return nil, carnet.ErrKeysUnavailable
	case "app_1", "app_2":
		text, err := k.key.Public().MarshalJWK()
		if err != nil {
			return nil, err
		}
		public, err := carnet.ParseJWK(text)
		return []*carnet.Key{public}, err
	default:
		return nil, carnet.ErrUnknownKey
	}
}

type asserting struct {
	*Assertions
	key  *jose.Key
	used *shownOnce
}

func openAssertions(t *testing.T) *asserting {
	t.Helper()
	k, err := jose.Generate(jose.ES256, "k1")
	if err != nil {
		t.Fatal(err)
	}
	used := &shownOnce{expires: map[[32]byte]time.Time{}}
	a, err := NewAssertions(AssertionConfig{Issuer: issuerURL, Keys: appKeys{k}, Used: used, Clock: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return &asserting{a, k, used}
}

// sign signs claims: those of a good assertion, but for what edit says. A nil value takes
// a claim away.
func (a *asserting) sign(t *testing.T, typ string, edit map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": "app_1", "sub": "usr_1", "aud": issuerURL, "jti": "1", "exp": noon.Add(time.Minute).Unix(), "iat": noon.Unix(),
	}
	for name, value := range edit {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := a.key.Sign(typ, text)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// TestReadAssertion goes through RFC 7523 §3.
func TestReadAssertion(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) int64 { return noon.Add(d).Unix() }
	for name, tc := range map[string]struct {
		typ  string
		edit map[string]any
		good bool
	}{
		"good":                         {"JWT", nil, true},
		"no typ":                       {"", nil, true},
		"explicit typ":                 {"client-authentication+jwt", nil, true},
		"whole typ":                    {"application/authorization-grant+jwt", nil, true},
		"one audience in a list":       {"JWT", map[string]any{"aud": []string{issuerURL}}, true},
		"no iat (§3.6)":                {"JWT", map[string]any{"iat": nil}, true},
		"as long as it may be":         {"JWT", map[string]any{"exp": at(MaxAssertion)}, true},
		"clock is a little slow":       {"JWT", map[string]any{"exp": at(-20 * time.Second)}, true},
		"unknown claim":                {"JWT", map[string]any{"color": "red"}, true},
		"an access token":              {"at+jwt", nil, false},
		"no iss (§3.1)":                {"JWT", map[string]any{"iss": nil}, false},
		"unknown iss":                  {"JWT", map[string]any{"iss": "app_9"}, false},
		"no sub (§3.2)":                {"JWT", map[string]any{"sub": nil}, false},
		"empty sub":                    {"JWT", map[string]any{"sub": ""}, false},
		"sub with a line":              {"JWT", map[string]any{"sub": "a\nb"}, false},
		"no aud (§3.3)":                {"JWT", map[string]any{"aud": nil}, false},
		"the token endpoint as aud":    {"JWT", map[string]any{"aud": issuerURL + "/oauth2/token"}, false},
		"another server":               {"JWT", map[string]any{"aud": "https://evil.example"}, false},
		"another server, too":          {"JWT", map[string]any{"aud": []string{issuerURL, "https://evil.example"}}, false},
		"issuer with a slash":          {"JWT", map[string]any{"aud": issuerURL + "/"}, false},
		"no exp (§3.4)":                {"JWT", map[string]any{"exp": nil}, false},
		"expired":                      {"JWT", map[string]any{"exp": at(-time.Minute)}, false},
		"an hour":                      {"JWT", map[string]any{"exp": at(time.Hour)}, false},
		"not yet (§3.5)":               {"JWT", map[string]any{"nbf": at(time.Minute)}, false},
		"issued in the future (§3.6)":  {"JWT", map[string]any{"iat": at(time.Minute)}, false},
		"no jti (§3.7)":                {"JWT", map[string]any{"jti": nil}, false},
		"empty jti":                    {"JWT", map[string]any{"jti": ""}, false},
		"long jti":                     {"JWT", map[string]any{"jti": strings.Repeat("x", 257)}, false},
		"jti that is a number":         {"JWT", map[string]any{"jti": 7}, false},
		"exp that is text":             {"JWT", map[string]any{"exp": "tomorrow"}, false},
		"iss of one, signed by nobody": {"JWT", map[string]any{"iss": "usr_1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := openAssertions(t)
			got, err := a.Read(t.Context(), a.sign(t, tc.typ, tc.edit))
			if !tc.good {
				if !errors.Is(err, ErrAssertion) || fault.KindOf(err) != fault.Unauthenticated || fault.Public(err).Msg != assertionRefusal {
					t.Errorf("Read() error = %v", err)
				}
				return
			}
			if err != nil || got.App != "app_1" || got.Subject != "usr_1" {
				t.Errorf("Read() = %+v, %v", got, err)
			}
		})
	}
}

func TestReadAssertionSignature(t *testing.T) {
	t.Parallel()
	a, other := openAssertions(t), openAssertions(t)
	shared, err := jose.Generate(jose.HS256, "k1")
	if err != nil {
		t.Fatal(err)
	}
	good := a.sign(t, "JWT", nil)
	symmetric := (&asserting{key: shared}).sign(t, "JWT", nil)
	for name, text := range map[string]string{
		"another key": other.sign(t, "JWT", nil), "a secret": symmetric, "cut off": good[:len(good)-4], "empty": "",
		"none": "eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + ".",
	} {
		if _, err := a.Read(t.Context(), text); !errors.Is(err, ErrAssertion) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = a.Read(t.Context(), a.sign(t, "JWT", map[string]any{"iss": "app_away"}))
	if fault.KindOf(err) != fault.Unavailable || fault.Public(err).RetryAfter == 0 {
		t.Errorf("keys that cannot be fetched: %v", err)
	}
}

func TestUseAssertion(t *testing.T) {
	t.Parallel()
	a := openAssertions(t)
	use := func(edit map[string]any) error {
		as, err := a.Read(t.Context(), a.sign(t, "JWT", edit))
		if err != nil {
			t.Fatal(err)
		}
		return a.Use(t.Context(), as)
	}
	if err := use(nil); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]map[string]any{
		"again": nil, "signed anew": {"sub": "usr_2", "exp": noon.Add(2 * time.Minute).Unix()},
	} {
		if err := use(edit); !errors.Is(err, ErrAssertion) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, edit := range map[string]map[string]any{
		"another jti": {"jti": "2"}, "another app's": {"iss": "app_2"},
	} {
		if err := use(edit); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, expires := range a.used.expires { // for as long as it would be taken
		if want := noon.Add(time.Minute + assertionLeeway); expires.Before(want) {
			t.Errorf("its use is forgotten at %v, before %v", expires, want)
		}
	}
	a.used.err = fault.New(fault.Unavailable, "store is down")
	if err := use(map[string]any{"jti": "3"}); fault.KindOf(err) != fault.Unavailable || errors.Is(err, ErrAssertion) {
		t.Errorf("store down: %v", err)
	}
}

// TestAssertionIDs shows that no app can use another one's jti up.
func TestAssertionIDs(t *testing.T) {
	t.Parallel()
	if assertionID("app_1", "2x") == assertionID("app_12", "x") {
		t.Error("two assertions have one id")
	}
}
