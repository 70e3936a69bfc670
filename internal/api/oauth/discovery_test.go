package oauth

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDiscovery is of what the metadata say of signing in (RFC 8414 §2, RFC 9207 §3,
// OpenID Connect Discovery §3, RP-Initiated Logout §2.1).
func TestDiscovery(t *testing.T) {
	t.Parallel()
	w := open(t).do(t, http.MethodGet, "/.well-known/openid-configuration", "")
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for name, want := range map[string]any{
		"authorization_endpoint":                         issuerURL + "/oauth2/authorize",
		"userinfo_endpoint":                              issuerURL + "/oauth2/userinfo",
		"end_session_endpoint":                           issuerURL + "/oauth2/logout",
		"response_types_supported":                       []any{"code"},
		"response_modes_supported":                       []any{"query"},
		"code_challenge_methods_supported":               []any{"S256"},
		"subject_types_supported":                        []any{"public"},
		"id_token_signing_alg_values_supported":          []any{"ES256"},
		"scopes_supported":                               []any{"openid", "profile", "offline_access"},
		"prompt_values_supported":                        []any{"none", "login", "consent", "select_account"},
		"ui_locales_supported":                           []any{"en", "de"},
		"authorization_response_iss_parameter_supported": true,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"claims_parameter_supported":                     false,
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	claims, _ := got["claims_supported"].([]any)
	if len(claims) == 0 {
		t.Error("no claims_supported")
	}
}

// TestMethods is of each address: what it serves, and what it says of the rest.
func TestMethods(t *testing.T) {
	t.Parallel()
	f := open(t)
	for path, methods := range map[string]string{
		"/oauth2/authorize": "GET, HEAD, POST, OPTIONS", "/oauth2/userinfo": "GET, HEAD, POST, OPTIONS", "/oauth2/logout": "GET, HEAD, POST, OPTIONS",
		"/account": "GET, HEAD, OPTIONS", "/oauth2/sign-in": "POST, OPTIONS", "/oauth2/consent": "POST, OPTIONS",
		"/account/sign-out": "POST, OPTIONS", "/account/password": "POST, OPTIONS",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE"} {
			w := f.do(t, method, path, "")
			served := slices.Contains(strings.Split(methods, ", "), method)
			if w.Code == http.StatusNotFound || (w.Code == http.StatusMethodNotAllowed) == served {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
			if !served && w.Header().Get("Allow") != methods {
				t.Errorf("%s %s allows %q, want %q", method, path, w.Header().Get("Allow"), methods)
			}
		}
	}
}
