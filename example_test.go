package carnet_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

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
