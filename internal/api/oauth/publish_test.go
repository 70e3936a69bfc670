package oauth

import (
	"encoding/json"
	"net/http"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

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

func TestMetadata(t *testing.T) {
	t.Parallel()
	w := open(t).do(t, http.MethodGet, "/.well-known/oauth-authorization-server", "")
	const want = `{"issuer":"https://id.example","token_endpoint":"https://id.example/oauth2/token",` +
		`"jwks_uri":"https://id.example/.well-known/jwks.json","response_types_supported":[],` +
		`"grant_types_supported":["client_credentials","refresh_token"],` +
		`"token_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post","none"]}`
	if w.Code != http.StatusOK || w.Body.String() != want {
		t.Errorf("%d %s, want %s", w.Code, w.Body, want)
	}
	if w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("headers = %v", w.Header())
	}
}
