package oauth

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/httpx"
)

func TestJWKS(t *testing.T) {
	t.Parallel()
	f := open(t)
	for _, path := range []string{"/.well-known/jwks.json", "/keysets/access/jwks.json", "/keysets/mobile_device/jwks.json"} {
		w := f.do(t, http.MethodGet, path, "", "Origin", "https://anyone.example")
		var set gojose.JSONWebKeySet
		if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		if len(set.Keys) != 2 || !set.Keys[0].IsPublic() || !set.Keys[1].IsPublic() {
			t.Errorf("%s: %d keys: %s", path, len(set.Keys), w.Body)
		}
		h := w.Header()
		if h.Get("Cache-Control") != "public, max-age=300" || h.Get("Content-Type") != "application/json" ||
			h.Get("Access-Control-Allow-Origin") != "*" || h.Get("ETag") == "" {
			t.Errorf("%s: headers = %v", path, h)
		}
		again := f.do(t, http.MethodGet, path, "", "If-None-Match", h.Get("ETag"))
		if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
			t.Errorf("%s: If-None-Match: %d", path, again.Code)
		}
		if other := f.do(t, http.MethodGet, path, "", "If-None-Match", `"other"`); other.Code != http.StatusOK {
			t.Errorf("%s: another ETag: %d", path, other.Code)
		}
		if head := f.do(t, http.MethodHead, path, ""); head.Code != http.StatusOK || head.Header().Get("ETag") != h.Get("ETag") {
			t.Errorf("%s: HEAD: %d", path, head.Code)
		}
	}
}

func TestUnknownKeySet(t *testing.T) {
	t.Parallel()
	w := open(t).do(t, http.MethodGet, "/keysets/nobody/jwks.json", "")
	var p httpx.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusNotFound || p.Code != "not_found" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q", got)
	}
}

// TestMetadata goes by RFC 8414 §2 and §3.2; what it says of signing in has a test of its
// own. OpenID Connect's document is the same one.
func TestMetadata(t *testing.T) {
	t.Parallel()
	f := open(t)
	w := f.do(t, http.MethodGet, "/.well-known/oauth-authorization-server", "")
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	algs := []any{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	confidential := []any{"client_secret_basic", "client_secret_post", "private_key_jwt"}
	anyone := append(slices.Clone(confidential), "none")
	for name, want := range map[string]any{
		"issuer":                 issuerURL,
		"token_endpoint":         issuerURL + "/oauth2/token",
		"revocation_endpoint":    issuerURL + "/oauth2/revoke",
		"introspection_endpoint": issuerURL + "/oauth2/introspect",
		"jwks_uri":               issuerURL + "/.well-known/jwks.json",
		"grant_types_supported": []any{
			"authorization_code", "client_credentials", "refresh_token",
			"urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:token-exchange",
		},
		"token_endpoint_auth_methods_supported":                    anyone,
		"token_endpoint_auth_signing_alg_values_supported":         algs,
		"revocation_endpoint_auth_methods_supported":               anyone,
		"revocation_endpoint_auth_signing_alg_values_supported":    algs,
		"introspection_endpoint_auth_methods_supported":            confidential,
		"introspection_endpoint_auth_signing_alg_values_supported": algs,
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	h := w.Header()
	if h.Get("Content-Type") != "application/json" || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("headers = %v", h)
	}
	if also := f.do(t, http.MethodGet, "/.well-known/openid-configuration", ""); also.Body.String() != w.Body.String() {
		t.Errorf("OpenID Connect's document is %s", also.Body)
	}
}
