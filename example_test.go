package carnet_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/carnettest"
)

// protect is the whole of what a service does to be protected.
func protect(issuer, audience string, handler http.Handler) (http.Handler, error) {
	keys, err := carnet.RemoteKeys(carnet.RemoteConfig{Issuer: issuer, URL: issuer + "/.well-known/jwks.json"})
	if err != nil {
		return nil, err
	}
	verifier, err := carnet.NewVerifier(carnet.VerifierConfig{Keys: keys, Policy: carnet.AccessTokens(issuer, audience)})
	if err != nil {
		return nil, err
	}
	return carnet.Middleware(verifier, carnet.RequireScopes("orders:read"))(handler), nil
}

// protectForTwo takes the tokens of two issuers, each with keys and an audience of its own.
func protectForTwo(ours, theirs, audience, audienceThere string, handler http.Handler) (http.Handler, error) {
	var verifiers []*carnet.Verifier
	cache := carnet.NewCache(64 << 20) // shared: an entry serves only who made it
	for issuer, audience := range map[string]string{ours: audience, theirs: audienceThere} {
		keys, err := carnet.RemoteKeys(carnet.RemoteConfig{Issuer: issuer, URL: issuer + "/.well-known/jwks.json"})
		if err != nil {
			return nil, err
		}
		v, err := carnet.NewVerifier(carnet.VerifierConfig{Keys: keys, Policy: carnet.AccessTokens(issuer, audience), Cache: cache})
		if err != nil {
			return nil, err
		}
		verifiers = append(verifiers, v)
	}
	issuers, err := carnet.NewIssuers(verifiers...)
	if err != nil {
		return nil, err
	}
	return carnet.Middleware(issuers)(handler), nil
}

// protectAtOnce verifies by itself, counts what it refuses, and asks the issuer, too,
// whether a token was revoked: no answer of that is older than two seconds.
func protectAtOnce(issuer, audience string, refused *atomic.Int64, handler http.Handler) (http.Handler, error) {
	keys, err := carnet.RemoteKeys(carnet.RemoteConfig{Issuer: issuer, URL: issuer + "/.well-known/jwks.json"})
	if err != nil {
		return nil, err
	}
	policy := carnet.AccessTokens(issuer, audience)
	local, err := carnet.NewVerifier(carnet.VerifierConfig{
		Keys: keys, Policy: policy, Cache: carnet.NewCache(64 << 20),
		Observe: func(v carnet.Verification) {
			if v.Err != nil {
				refused.Add(1)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	asking, err := carnet.NewIntrospection(carnet.IntrospectionConfig{
		URL: issuer + "/oauth2/introspect", ClientID: "orders", ClientSecret: "the secret of orders",
		Policy: policy, Local: local, Revocation: true, MaxAge: 2 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	return carnet.Middleware(asking)(handler), nil
}

func TestProtectForTwo(t *testing.T) {
	t.Parallel()
	ours, theirs := carnettest.NewIssuer(t), carnettest.NewIssuer(t)
	handler, err := protectForTwo(ours.URL, theirs.URL, carnettest.Audience, "https://elsewhere.test", http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		token string
		want  int
	}{
		"ours":                    {ours.AccessToken("ann", ""), 404},
		"theirs":                  {theirs.Token("at+jwt", map[string]any{"aud": "https://elsewhere.test"}), 404},
		"theirs for our audience": {theirs.AccessToken("ann", ""), 401},
		"a stranger's":            {carnettest.NewIssuer(t).AccessToken("ann", ""), 401},
	} {
		if got := status(handler, tc.token); got != tc.want {
			t.Errorf("%s: status = %d, want %d", name, got, tc.want)
		}
	}
}

func TestProtectAtOnce(t *testing.T) {
	t.Parallel()
	issuer := carnettest.NewIssuer(t)
	var refused atomic.Int64
	handler, err := protectAtOnce(issuer.URL, carnettest.Audience, &refused, http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	token := issuer.AccessToken("ann", "")
	if got := status(handler, token); got != 404 {
		t.Errorf("status = %d, want 404", got)
	}
	issuer.RevokeToken(issuer.AccessToken("bob", ""))
	other := issuer.AccessToken("ann", "")
	issuer.RevokeToken(other)
	if got := status(handler, other); got != 401 {
		t.Errorf("revoked: status = %d, want 401", got)
	}
	if got := status(handler, token+"x"); got != 401 || refused.Load() != 1 {
		t.Errorf("malformed: status = %d, %d counted, want 401 and 1", got, refused.Load())
	}
}

func status(h http.Handler, token string) int {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestProtect(t *testing.T) {
	t.Parallel()
	issuer := carnettest.NewIssuer(t)
	handler, err := protect(issuer.URL, carnettest.Audience, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := carnet.PrincipalFrom(r.Context())
		fmt.Fprintf(w, "hello %s", who.Subject())
	}))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		token string
		want  int
	}{
		"good":           {issuer.AccessToken("ann", "orders:read"), 200},
		"no scope":       {issuer.AccessToken("ann", "orders:write"), 403},
		"expired":        {issuer.Token("at+jwt", map[string]any{"exp": 1, "scope": "orders:read"}), 401},
		"other type":     {issuer.Token("JWT", map[string]any{"scope": "orders:read"}), 401},
		"nothing at all": {"", 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			if tc.token != "" {
				r.Header.Set("Authorization", "Bearer "+tc.token)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != tc.want {
				t.Errorf("status = %d, want %d", w.Code, tc.want)
			}
		})
	}
}
