package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/limit"
)

// claimsOf verifies an access token with go-jose and returns its claims without
// the jti.
func (f *fixture) claimsOf(t *testing.T, accessToken string, alg jose.Algorithm) map[string]any {
	t.Helper()
	jws, err := gojose.ParseSignedCompact(accessToken, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(alg)})
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.Verify(f.ring.keys[alg].Public().Crypto())
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	delete(claims, "jti")
	return claims
}

func TestLogin(t *testing.T) {
	t.Parallel()
	const media = "application/json"
	f := open(t)
	for name, tc := range map[string]struct {
		media, body   string
		client, scope string
		alg           jose.Algorithm
	}{
		"form":           {formType, "username=Ada&password=correct+horse", "carnet", "chat orders", jose.ES256},
		"form, app":      {formType, "username=ada&password=correct+horse&client_id=app_web", "app_web", "chat orders", jose.EdDSA},
		"form, scope":    {formType, "username=ada&password=correct+horse&scope=orders", "carnet", "orders", jose.ES256},
		"form, no value": {formType, "username=ada&password=correct+horse&scope=&client_id=", "carnet", "chat orders", jose.ES256},
		"JSON":           {media, `{"username":"ada","password":"correct horse"}`, "carnet", "chat orders", jose.ES256},
		"JSON, app":      {media, `{"username":"ada","password":"correct horse","client_id":"app_web","scope":"chat"}`, "app_web", "chat", jose.EdDSA},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := granted(t, f.do(t, http.MethodPost, "/login", tc.body, "Content-Type", tc.media))
			if !strings.HasPrefix(a.RefreshToken, "rt_") || a.Scope != tc.scope {
				t.Errorf("answer = %+v", a)
			}
			want := map[string]any{
				"iss": issuerURL, "aud": issuerURL, "sub": "usr_ada", "client_id": tc.client, "scope": tc.scope,
				"iat": float64(noon.Unix()), "exp": float64(noon.Add(15 * time.Minute).Unix()),
			}
			if diff := cmp.Diff(want, f.claimsOf(t, a.AccessToken, tc.alg)); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoginRefuses(t *testing.T) {
	t.Parallel()
	const good = "username=ada&password=correct+horse"
	for name, tc := range map[string]struct {
		media, body string
		status      int
		code        string
	}{
		"wrong password":   {formType, "username=ada&password=wrong", 401, "invalid_grant"},
		"unknown user":     {formType, "username=eve&password=correct+horse", 401, "invalid_grant"},
		"unknown app":      {formType, good + "&client_id=app_nobody", 401, "invalid_client"},
		"disabled app":     {formType, good + "&client_id=app_off", 401, "invalid_client"},
		"wide scope":       {formType, good + "&scope=chat+admin", 400, "invalid_scope"},
		"broken scope":     {formType, good + "&scope=chat++orders", 400, "invalid_scope"},
		"wide scope, eve":  {formType, "username=eve&password=x&scope=admin", 401, "invalid_grant"},
		"no username":      {formType, "password=correct+horse", 400, "invalid_request"},
		"no password":      {formType, "username=ada&password=", 400, "invalid_request"},
		"two passwords":    {formType, good + "&password=x", 400, "invalid_request"},
		"broken form":      {formType, "username=%", 400, "invalid_request"},
		"JSON twice":       {"application/json", `{"username":"ada","password":"x","password":"correct horse"}`, 400, "invalid_request"},
		"JSON number":      {"application/json", `{"username":"ada","password":12345678}`, 400, "invalid_request"},
		"no JSON":          {"application/json", good, 400, "invalid_request"},
		"other media type": {"text/plain", good, 415, "invalid_request"},
		"too long":         {formType, good + "&x=" + strings.Repeat("x", maxBody), 413, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, open(t).do(t, http.MethodPost, "/login", tc.body, "Content-Type", tc.media), tc.status, tc.code)
		})
	}
}

// TestLoginNamesWhatIsEmpty: of two empty fields the page's first, and not now the one and
// now the other.
func TestLoginNamesWhatIsEmpty(t *testing.T) {
	t.Parallel()
	f := open(t)
	for body, want := range map[string]string{"": "username", "username=ada": "password"} {
		for range 20 {
			if w := f.form(t, "/login", body); !strings.Contains(w.Body.String(), want) {
				t.Fatalf("%q: %s does not name %s", body, w.Body, want)
			}
		}
	}
}

func TestLoginDoesNotTellWhoExists(t *testing.T) {
	t.Parallel()
	f := open(t)
	known := f.form(t, "/login", "username=ada&password=wrong")
	unknown := f.form(t, "/login", "username=eve&password=wrong")
	if known.Body.String() != unknown.Body.String() || known.Code != unknown.Code {
		t.Errorf("%d %s differs from %d %s", known.Code, known.Body, unknown.Code, unknown.Body)
	}
}

func TestLoginLimits(t *testing.T) {
	t.Parallel()
	one := limit.Rate{N: 1, Per: time.Minute}
	const good = "username=ada&password=correct+horse"
	t.Run("per address", func(t *testing.T) {
		t.Parallel()
		f := open(t, func(c *Config) { c.LoginPerAddr = limit.New(one, 10) })
		granted(t, f.form(t, "/login", good, "From", "192.0.2.1"))
		w := f.form(t, "/login", good, "From", "192.0.2.1")
		refused(t, w, 429, "temporarily_unavailable")
		if w.Header().Get("Retry-After") != "60" {
			t.Errorf("Retry-After = %q", w.Header().Get("Retry-After"))
		}
		granted(t, f.form(t, "/login", good, "From", "192.0.2.2"))
	})
	t.Run("per user", func(t *testing.T) {
		t.Parallel()
		f := open(t, func(c *Config) { c.LoginPerUser = limit.New(one, 10) })
		refused(t, f.form(t, "/login", "username=ADA&password=wrong", "From", "2001:db8::1"), 401, "invalid_grant")
		refused(t, f.form(t, "/login", good, "From", "2001:db8::2"), 429, "temporarily_unavailable")
		refused(t, f.form(t, "/login", "username=eve&password=wrong", "From", "2001:db8::2"), 401, "invalid_grant")
		refused(t, f.form(t, "/login", "username=eve&password=wrong", "From", "2001:db8::2"), 429, "temporarily_unavailable")
		granted(t, f.form(t, "/login", good, "From", "192.0.2.2"))
	})
	t.Run("per name", func(t *testing.T) {
		t.Parallel()
		f := open(t, func(c *Config) {
			c.LoginPerUser, c.LoginPerName = limit.New(one, 10), limit.New(limit.Rate{N: 2, Per: time.Minute}, 10)
		})
		refused(t, f.form(t, "/login", "username=ada&password=wrong", "From", "192.0.2.1"), 401, "invalid_grant")
		for range 5 { // what one network tries beyond its limit keeps nobody out
			refused(t, f.form(t, "/login", "username=ada&password=wrong", "From", "192.0.2.1"), 429, "temporarily_unavailable")
		}
		granted(t, f.form(t, "/login", good, "From", "192.0.2.2"))
		refused(t, f.form(t, "/login", "username=Ada&password=wrong", "From", "192.0.2.3"), 429, "temporarily_unavailable")
	})
	t.Run("per name, from one house", func(t *testing.T) {
		t.Parallel()
		f := open(t, func(c *Config) {
			c.LoginPerUser, c.LoginPerName = limit.New(one, 10), limit.New(limit.Rate{N: 2, Per: time.Minute}, 10)
		})
		for i, want := range []int{401, 429, 429} { // many get a /56, and have 256 networks
			w := f.form(t, "/login", "username=ada&password=wrong", "From", fmt.Sprintf("[2001:db8:0:%x::1]", i))
			if w.Code != want {
				t.Errorf("try %d: %d, want %d", i, w.Code, want)
			}
		}
		granted(t, f.form(t, "/login", good, "From", "[2001:db8:1::1]"))
	})
}

func TestLoginFaults(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.people.err = &fault.Error{Kind: fault.Unavailable, Msg: "busy", RetryAfter: time.Second}
	w := f.form(t, "/login", "username=ada&password=x")
	refused(t, w, 503, "temporarily_unavailable")
	if w.Header().Get("Retry-After") != "1" {
		t.Errorf("Retry-After = %q", w.Header().Get("Retry-After"))
	}
	f.people.err = errors.New("table users is on fire")
	w = f.form(t, "/login", "username=ada&password=x")
	refused(t, w, 500, "server_error")
	if strings.Contains(w.Body.String(), "fire") {
		t.Errorf("the answer shows the cause: %s", w.Body)
	}
	if len(f.observed) != 2 || f.observed[0] != Password {
		t.Errorf("observed %v", f.observed)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	const login = "username=ada&password=correct+horse"
	for name, tc := range map[string]struct {
		path, body, origin string
		readable           bool
	}{
		"login, own origin":     {"/login", login + "&client_id=app_web", "https://web.example", true},
		"login, other's origin": {"/login", login + "&client_id=app_web", "https://other.example", false},
		"login, no app":         {"/login", login, "https://web.example", false},
		"login, refused":        {"/login", "username=ada&password=x&client_id=app_web", "https://web.example", true},
		"login, nobody's":       {"/login", login + "&client_id=app_web", "https://evil.example", false},
		"token, own origin":     {"/oauth2/token", "grant_type=client_credentials&client_id=app_web&client_secret=right%2B%25", "https://web.example", true},
		"token, other's origin": {"/oauth2/token", "grant_type=client_credentials&client_id=app_web&client_secret=right%2B%25", "https://other.example", false},
	} {
		w := open(t).form(t, tc.path, tc.body, "Origin", tc.origin)
		want := ""
		if tc.readable {
			want = tc.origin
		}
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != want || w.Header().Get("Vary") != "Origin" {
			t.Errorf("%s: Access-Control-Allow-Origin = %q, want %q (%v)", name, got, want, w.Header())
		}
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	f := open(t)
	for path, want := range map[string]string{
		"/login":                                  "https://web.example",
		"/oauth2/token":                           "https://web.example",
		"/.well-known/jwks.json":                  "*",
		"/keysets/mobile_device/jwks.json":        "*",
		"/.well-known/oauth-authorization-server": "*",
	} {
		w := f.do(t, http.MethodOptions, path, "", "Origin", "https://web.example", "Access-Control-Request-Method", "POST")
		if w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Origin") != want {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
		if w := f.do(t, http.MethodOptions, path, ""); w.Code != http.StatusNoContent || !strings.Contains(w.Header().Get("Allow"), "OPTIONS") {
			t.Errorf("%s without preflight: %d %v", path, w.Code, w.Header())
		}
		if w := f.do(t, http.MethodDelete, path, ""); w.Code != http.StatusMethodNotAllowed || !strings.Contains(w.Header().Get("Allow"), "OPTIONS") {
			t.Errorf("DELETE %s: %d %v", path, w.Code, w.Header())
		}
	}
}
