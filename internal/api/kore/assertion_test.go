package kore

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/seal"
)

func TestAssertions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := w.clock.now().Truncate(time.Second).Add(time.Second)
	seconds := func(d time.Duration) int64 { return now.Add(d).Unix() }
	millis := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
	for name, tc := range map[string]struct {
		change map[string]any
		ok     bool
	}{
		"as it should be":           {nil, true},
		"in milliseconds":           {map[string]any{"iat": millis(0), "exp": millis(5 * time.Minute)}, true},
		"with a fraction":           {map[string]any{"exp": float64(seconds(time.Minute)) + 0.5}, true},
		"Kore's names":              {map[string]any{"iss": nil, "sub": nil, "kore_iss": w.shop.ID, "kore_sub": "ann"}, true},
		"both names, one meaning":   {map[string]any{"kore_iss": w.shop.ID, "kore_sub": "ann"}, true},
		"any audience":              {map[string]any{"aud": ""}, true},
		"no audience":               {map[string]any{"aud": nil}, true},
		"anonymous as text":         {map[string]any{"isAnonymous": "true"}, true},
		"not anonymous as text":     {map[string]any{"isAnonymous": "false"}, true},
		"nothing about anonymity":   {map[string]any{"isAnonymous": nil}, true},
		"no iat":                    {map[string]any{"iat": nil}, true},
		"jti":                       {map[string]any{"jti": "a"}, true},
		"kore_jti":                  {map[string]any{"kore_jti": "b"}, true},
		"jti for an hour":           {map[string]any{"jti": "c", "exp": seconds(time.Hour)}, true},
		"a day without jti":         {map[string]any{"exp": seconds(24 * time.Hour)}, true},
		"a little ahead":            {map[string]any{"iat": seconds(20 * time.Second), "nbf": seconds(20 * time.Second)}, true},
		"just past":                 {map[string]any{"exp": seconds(-20 * time.Second)}, true},
		"jti for more than an hour": {map[string]any{"jti": "d", "exp": seconds(61 * time.Minute)}, false},
		"past":                      {map[string]any{"exp": seconds(-time.Minute)}, false},
		"past in milliseconds":      {map[string]any{"exp": millis(-time.Minute)}, false},
		"no exp":                    {map[string]any{"exp": nil}, false},
		"exp is text":               {map[string]any{"exp": "tomorrow"}, false},
		"exp is huge":               {map[string]any{"exp": 1e18}, false},
		"exp is negative":           {map[string]any{"exp": -1}, false},
		"from the future":           {map[string]any{"iat": seconds(time.Minute)}, false},
		"not yet":                   {map[string]any{"nbf": seconds(time.Minute)}, false},
		"no subject":                {map[string]any{"sub": nil}, false},
		"empty subject":             {map[string]any{"sub": ""}, false},
		"subject with control":      {map[string]any{"sub": "a\nb"}, false},
		"subject is a number":       {map[string]any{"sub": 7}, false},
		"two subjects":              {map[string]any{"kore_sub": "bob"}, false},
		"two issuers":               {map[string]any{"kore_iss": "someone"}, false},
		"unknown app":               {map[string]any{"iss": "app_unknown"}, false},
		"no app":                    {map[string]any{"iss": nil}, false},
		"anonymous is a number":     {map[string]any{"isAnonymous": 1}, false},
		"jti is a number":           {map[string]any{"jti": 1}, false},
	} {
		text := w.assertion(tc.change)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := w.verify(t.Context(), text, now)
			if (err == nil) != tc.ok {
				t.Fatalf("verify() = %v, want success %t", err, tc.ok)
			}
			if err != nil && (fault.KindOf(err) != fault.Unauthenticated || !strings.HasPrefix(fault.Public(err).Msg, "error verifying the jwt")) {
				t.Errorf("verify() = %v, want what Kore says", err)
			}
			if want := (chat.User{Issuer: string(w.shop.ID), Subject: "ann"}); err == nil && v.user != want {
				t.Errorf("user = %v, want %v", v.user, want)
			}
			if anonymous := tc.change["isAnonymous"] == "true"; err == nil && v.anonymous != anonymous {
				t.Errorf("anonymous = %t, want %t", v.anonymous, anonymous)
			}
		})
	}
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.assertion(nil)
	parts := strings.Split(good, ".")
	disabled, _ := w.app(app.Registration{Name: "disabled", SessionAlgorithm: jose.HS256})
	w.must(w.apps.Disable(t.Context(), disabled.ID))
	old := w.assertion(nil)
	fresh, err := w.apps.Rotate(t.Context(), w.shop.ID, app.RotateOptions{Overlap: time.Hour})
	w.must(err)
	w.secret = fresh
	for name, tc := range map[string]struct {
		text string
		ok   bool
	}{
		"the newest secret":         {w.assertion(nil), true},
		"the one before":            {old, true},
		"no type":                   {w.sign(jose.HS256, "", w.claims(nil)), true},
		"type in small letters":     {w.sign(jose.HS256, "jwt", w.claims(nil)), true},
		"an access token's type":    {w.sign(jose.HS256, "at+jwt", w.claims(nil)), false},
		"an algorithm of its own":   {w.sign(jose.HS512, "JWT", w.claims(nil)), false},
		"another signature":         {parts[0] + "." + parts[1] + "." + strings.Split(w.assertion(map[string]any{"sub": "bob"}), ".")[2], false},
		"unsigned":                  {jose.Encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", false},
		"a disabled app":            {w.assertion(map[string]any{"iss": disabled.ID}), false},
		"encrypted without a key":   {good + ".AAAA.AAAA", false},
		"nothing":                   {"", false},
		"not a token":               {"hello", false},
		"a list for claims":         {w.sign(jose.HS256, "JWT", nil), false},
		"longer than tokens may be": {good + strings.Repeat("A", 20<<10), false},
	} {
		if _, err := w.verify(t.Context(), tc.text, w.clock.now()); (err == nil) != tc.ok {
			t.Errorf("%s: verify() = %v, want success %t", name, err, tc.ok)
		}
	}
}

// TestAlgorithms takes what an app's key signs with, and nothing that another one does.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	now := time.Now()
	shop := &app.App{ID: "shop"}
	claims := []byte(fmt.Sprintf(`{"iss":"shop","sub":"ann","exp":%d}`, now.UnixMilli()+60_000))
	all := []jose.Algorithm{jose.HS256, jose.HS512, jose.RS256, jose.RS512, jose.ES256, jose.EdDSA}
	keys := map[jose.Algorithm]*jose.Key{}
	for _, alg := range all {
		key, err := jose.Generate(alg, "k")
		if alg.Symmetric() {
			key, err = jose.NewSecretKey(alg, "k", []byte(strings.Repeat("s", 64)))
		}
		if err != nil {
			t.Fatal(err)
		}
		keys[alg] = key
	}
	for _, of := range all {
		h := New(Config{
			Apps: oneApp{shop}, Keys: func(context.Context, *app.App, string, time.Time) ([]*jose.Key, error) {
				return []*jose.Key{keys[of]}, nil
			},
		})
		for _, by := range all {
			text, err := keys[by].Sign("JWT", claims)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.verify(t.Context(), text, now); (err == nil) != (of == by) {
				t.Errorf("an app of %s, an assertion by %s: verify() = %v", of, by, err)
			}
		}
	}
}

// Nobody is told that an assertion is bad while the app's secret cannot be read.
func TestSecretOutOfReach(t *testing.T) {
	t.Parallel()
	now := time.Now()
	key, err := jose.NewSecretKey(jose.HS256, "sec_1.0a", []byte(strings.Repeat("s", 32)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := key.Sign("JWT", []byte(fmt.Sprintf(`{"iss":"shop","sub":"ann","exp":%d}`, now.Unix()+60)))
	if err != nil {
		t.Fatal(err)
	}
	var asked string
	h := New(Config{
		Apps: oneApp{&app.App{ID: "shop"}}, Keys: func(_ context.Context, _ *app.App, kid string, _ time.Time) ([]*jose.Key, error) {
			asked = kid
			return nil, fault.New(fault.Unavailable, "try again")
		},
	})
	if _, err := h.verify(t.Context(), text, now); fault.KindOf(err) != fault.Unavailable || asked != "sec_1.0a" {
		t.Errorf("verify() = %v, asked for the key %q", err, asked)
	}
}

// TestReplay shows assertions twice: those with a jti are good once, others as often as
// a page reloads.
func TestReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	post := func(assertion string) answer {
		body, _ := json.Marshal(map[string]any{"assertion": assertion, "botInfo": map[string]any{"taskBotId": "st-echo"}})
		return w.do("POST", "/api/oAuth/token/jwtgrant", string(body))
	}
	plain, once := w.assertion(nil), w.assertion(map[string]any{"jti": "a1"})
	for range 3 {
		if a := post(plain); a.status != 200 {
			t.Errorf("without jti: %d %s", a.status, a.text)
		}
	}
	if a := post(once); a.status != 200 {
		t.Errorf("first time: %d %s", a.status, a.text)
	}
	a := post(once)
	if want := `{"errors":[{"msg":"error verifying the jwt: possibly a replay","code":401}]}`; a.status != http.StatusUnauthorized || a.text != want {
		t.Errorf("second time: %d %s, want 401 %s", a.status, a.text, want)
	}
	if a := post(w.assertion(map[string]any{"jti": "a2", "exp": w.clock.now().Add(2 * time.Hour).Unix()})); a.status != 401 || !strings.Contains(a.text, `\"exp\" must be <= 1 hour(s)`) {
		t.Errorf("for two hours: %d %s", a.status, a.text)
	}
}

func TestOnce(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	o := newOnce(3)
	use := func(name string, at, until time.Duration, want bool) {
		t.Helper()
		if got := o.use(name, noon.Add(at), noon.Add(until)); got != want {
			t.Errorf("use(%s) at %v = %t, want %t", name, at, got, want)
		}
		if len(o.until) > 3 || len(o.until) != o.order.Len() {
			t.Errorf("%d names, %d in order", len(o.until), o.order.Len())
		}
	}
	use("a", 0, time.Minute, true)
	use("a", time.Second, time.Minute, false)
	use("b", 0, time.Hour, true)
	use("a", time.Minute, 2*time.Minute, true) // the first one is forgotten
	use("c", time.Minute, time.Hour, true)
	use("d", time.Minute, time.Hour, true) // b was the oldest
	use("c", time.Minute, time.Hour, false)
	use("d", time.Minute, time.Hour, false)
	use("b", time.Minute, time.Hour, true)
}

// changing takes back what a test says.
type changing struct {
	mu      sync.Mutex
	epoch   uint64
	subject string
}

func (c *changing) revoke(subject string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch, c.subject = c.epoch+1, subject
}

func (c *changing) Epoch() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epoch
}

func (c *changing) Revoked(t revocation.Token) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return t.Subject == c.subject
}

func TestRevokedAssertion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Revocations = &changing{subject: "bob"} })
	if _, err := w.verify(t.Context(), w.assertion(nil), w.clock.now()); err != nil {
		t.Error(err)
	}
	if _, err := w.verify(t.Context(), w.assertion(map[string]any{"sub": "bob"}), w.clock.now()); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("verify() = %v, want a refusal", err)
	}
}

func TestEncryptedAssertions(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	opener, err := seal.NewNested(key)
	if err != nil {
		t.Fatal(err)
	}
	to, err := seal.NewRecipient(seal.Suite{}, "", &key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *Config) { c.Encrypted = opener })
	sealed := func(text string) string {
		s, err := to.Seal([]byte(text))
		w.must(err)
		return s
	}
	claims, err := json.Marshal(w.claims(nil))
	w.must(err)
	good := sealed(w.assertion(nil))
	for name, tc := range map[string]struct {
		text string
		ok   bool
	}{
		"encrypted":             {good, true},
		"plain":                 {w.assertion(nil), true},
		"encrypted, not signed": {sealed(string(claims)), false},
		"encrypted twice":       {sealed(good), false},
		"damaged":               {good[:len(good)-4] + "AAAA", false},
	} {
		if _, err := w.verify(t.Context(), tc.text, w.clock.now()); (err == nil) != tc.ok {
			t.Errorf("%s: verify() = %v, want success %t", name, err, tc.ok)
		}
	}
}

// FuzzVerify looks for an assertion that is believed and was not signed.
func FuzzVerify(f *testing.F) {
	key, err := jose.NewSecretKey(jose.HS256, "", []byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_795_000_000, 0)
	shop := &app.App{ID: "shop"}
	claims := map[string]any{"iss": "shop", "sub": "ann", "exp": now.Unix() + 60, "isAnonymous": "true"}
	sign := func(change map[string]any) string {
		all := maps.Clone(claims)
		maps.Copy(all, change)
		text, _ := json.Marshal(all)
		token, err := key.Sign("JWT", text)
		if err != nil {
			f.Fatal(err)
		}
		return token
	}
	good := sign(nil)
	f.Add(good)
	f.Add(sign(map[string]any{"exp": now.UnixMilli()}))
	f.Add(sign(map[string]any{"kore_iss": "shop", "iat": "x"}))
	f.Add("a.b.c")
	f.Add("a.b.c.d.e")
	h := New(Config{
		Apps: oneApp{shop}, Keys: func(context.Context, *app.App, string, time.Time) ([]*jose.Key, error) { return []*jose.Key{key}, nil },
	})
	f.Fuzz(func(t *testing.T, text string) {
		v, err := h.verify(t.Context(), text, now)
		if err != nil {
			if fault.KindOf(err) != fault.Unauthenticated {
				t.Errorf("verify() = %v", err)
			}
			return
		}
		var u jose.Unverified
		if u.Parse(text) != nil || u.Verify(key) != nil {
			t.Errorf("believed %q", text)
		}
		if v.app != shop || v.user.Subject == "" {
			t.Errorf("verify() = %+v", v)
		}
	})
}

// oneApp is the only app there is.
type oneApp struct{ a *app.App }

func (o oneApp) Find(id app.ID) (*app.App, bool) { return o.a, id == o.a.ID }
func (oneApp) AllowsOrigin(string) bool          { return false }
