package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/jose"
)

// redeeming is a token request of app_shop for a code, with changes as asking has them.
func redeeming(code string, changes ...string) string {
	q := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {shopBack}, "code_verifier": {verifierText},
	}
	for _, change := range changes {
		if name, value, ok := strings.Cut(change, "="); ok {
			q.Set(name, value)
		} else {
			q.Del(name)
		}
	}
	return q.Encode()
}

var shopBasic = []string{"Authorization", basicHeader("app_shop", "right+%")}

// claimsOf are what a token of the fixture says.
func claimsOf(t *testing.T, f *fixture, text string) map[string]any {
	t.Helper()
	var token jose.Unverified
	if err := token.Parse(text); err != nil {
		t.Fatal(err)
	}
	if err := token.Verify(f.ring.keys[jose.ES256]); err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	if err := json.Unmarshal(token.Payload(), &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestCode is the code grant (RFC 6749 §4.1.3–4, OpenID Connect Core §3.1.3).
func TestCode(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		request  []string
		scope    string
		refresh  bool
		identity map[string]any // beyond what all have; nil: no ID token
	}{
		"OAuth alone":          {[]string{"scope=chat"}, "chat", false, nil},
		"no scope, no address": {[]string{"scope", "client_id=app_own", "redirect_uri"}, "chat", false, nil},
		"OpenID Connect":       {[]string{"nonce=n-0S6"}, "openid chat", false, map[string]any{"nonce": "n-0S6"}},
		"with a name":          {[]string{"scope=openid profile"}, "openid profile", false, map[string]any{"preferred_username": "ada"}},
		"with a refresh token": {[]string{"scope=openid offline_access chat"}, "openid offline_access chat", true, map[string]any{}},
		"OAuth, refreshed":     {[]string{"scope=offline_access chat"}, "offline_access chat", true, nil},
		"what the user lacks":  {[]string{"scope=chat admin"}, "chat", false, nil},
		"what nobody knows":    {[]string{"scope=openid email chat"}, "openid chat", false, map[string]any{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			v := f.signedIn(t)
			f.sleep(time.Minute)
			id, more := "app_shop", []string(nil)
			if slices.Contains(tc.request, "client_id=app_own") {
				id, more = "app_own", []string{"redirect_uri"}
			}
			code := v.admitted(asking(tc.request...))
			a := granted(t, f.form(t, "/oauth2/token", redeeming(code, more...), "Authorization", basicHeader(id, "right+%")))
			if a.Scope != tc.scope || (a.RefreshToken != "") != tc.refresh || (a.IDToken != "") != (tc.identity != nil) {
				t.Fatalf("answer %+v", a)
			}
			access := claimsOf(t, f, a.AccessToken)
			if access["sub"] != "usr_ada" || access["client_id"] != id || access["scope"] != tc.scope {
				t.Errorf("access token: %v", access)
			}
			if tc.identity == nil {
				return
			}
			want := map[string]any{
				"iss": issuerURL, "sub": "usr_ada", "aud": id, "iat": float64(f.now.Unix()), "exp": float64(f.now.Add(15 * time.Minute).Unix()),
				"auth_time": float64(noon.Unix()), "amr": []any{"pwd"},
			}
			for claim, value := range tc.identity {
				want[claim] = value
			}
			got := claimsOf(t, f, a.IDToken)
			if hash, _ := got["at_hash"].(string); len(hash) != 22 {
				t.Errorf("at_hash %q", hash)
			}
			delete(got, "at_hash")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("ID token (-want +got):\n%s", diff)
			}
			if _, err := f.access.Verify(t.Context(), a.IDToken); err == nil {
				t.Error("an ID token passes as an access token")
			}
		})
	}
}

func TestCodeRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		request []string // of the code
		redeem  []string
		as      []string // headers; nil: shopBasic
		before  func(t *testing.T, f *fixture, v *visitor)
		status  int
		code    string
		stays   bool // the code is good for who does it right
	}{
		"§4.1.3 no code":                 {redeem: []string{"code"}, status: 400, code: "invalid_request", stays: true},
		"§4.1.3 another code":            {redeem: []string{"code=" + challengeText}, status: 400, code: "invalid_grant", stays: true},
		"§4.1.3 no redirect_uri":         {redeem: []string{"redirect_uri"}, status: 400, code: "invalid_grant", stays: true},
		"§4.1.3 another redirect_uri":    {redeem: []string{"redirect_uri=" + shopBack + "?tab=1"}, status: 400, code: "invalid_grant", stays: true},
		"§4.1.3 another client":          {as: []string{"Authorization", basicHeader("app_own", "right+%")}, status: 400, code: "invalid_grant", stays: true},
		"§4.1.3 no client":               {as: []string{}, status: 401, code: "invalid_client", stays: true},
		"§4.1.3 a wrong secret":          {as: []string{"Authorization", basicHeader("app_shop", "wrong")}, status: 401, code: "invalid_client", stays: true},
		"RFC 7636 §4.6 no verifier":      {redeem: []string{"code_verifier"}, status: 400, code: "invalid_request", stays: true},
		"RFC 7636 §4.6 another verifier": {redeem: []string{"code_verifier=" + strings.Repeat("v", 43)}, status: 400, code: "invalid_grant", stays: true},
		"RFC 7636 §4.6 the challenge":    {redeem: []string{"code_verifier=" + challengeText}, status: 400, code: "invalid_grant", stays: true},
		"RFC 7636 §4.1 a short verifier": {redeem: []string{"code_verifier=" + verifierText[1:]}, status: 400, code: "invalid_grant", stays: true},
		"RFC 9700 §2.1.1 a public client": {
			as: []string{}, redeem: []string{"client_id=app_page"}, status: 400, code: "invalid_grant", stays: true,
		},
		"§4.1.2 too late": {
			before: func(_ *testing.T, f *fixture, _ *visitor) { f.sleep(time.Minute) }, status: 400, code: "invalid_grant",
		},
		"signed out meanwhile": {
			before: func(t *testing.T, _ *fixture, v *visitor) {
				t.Helper()
				v.get("/account")
				v.send()
			}, status: 400, code: "invalid_grant",
		},
		"a user who was disabled meanwhile": {
			before: func(_ *testing.T, f *fixture, _ *visitor) { f.people.gone = "usr_ada" }, status: 400, code: "invalid_grant",
		},
		"a client that may not any more": {
			before: func(_ *testing.T, f *fixture, _ *visitor) {
				f.apps["app_shop"].Grants = []app.Grant{app.ClientCredentials}
			},
			status: 400, code: "unauthorized_client",
		},
		"a client that may have none of it any more": {
			request: []string{"scope=chat"},
			before:  func(_ *testing.T, f *fixture, _ *visitor) { f.apps["app_shop"].UserScopes = []string{"orders"} },
			status:  400, code: "invalid_grant",
		},
		"a node that cannot sign": {
			before: func(_ *testing.T, f *fixture, _ *visitor) { f.ring.err = errors.New("no key") }, status: 500, code: "server_error",
		},
		"a store that is away": {
			before: func(_ *testing.T, f *fixture, _ *visitor) { f.store.Fail(errors.New("disk on fire")) }, status: 500, code: "server_error",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			v := f.signedIn(t)
			code := v.admitted(asking(tc.request...))
			if tc.before != nil {
				tc.before(t, f, v)
			}
			as := tc.as
			if as == nil {
				as = shopBasic
			}
			refused(t, f.form(t, "/oauth2/token", redeeming(code, tc.redeem...), as...), tc.status, tc.code)
			if tc.stays {
				granted(t, f.form(t, "/oauth2/token", redeeming(code), shopBasic...))
			}
		})
	}
}

// TestNarrowedApp takes a scope from an app after people have granted it: before it shows
// the code, and after.
func TestNarrowedApp(t *testing.T) {
	t.Parallel()
	f := open(t)
	v := f.signedIn(t)
	code := v.admitted(asking("scope=openid offline_access chat orders"))
	f.apps["app_shop"].UserScopes = []string{"orders"}
	a := granted(t, f.form(t, "/oauth2/token", redeeming(code), shopBasic...))
	if a.Scope != "openid offline_access orders" || claimsOf(t, f, a.AccessToken)["scope"] != a.Scope {
		t.Errorf("the code brought %q", a.Scope)
	}
	f.apps["app_shop"].UserScopes = []string{"chat"}
	refresh := "grant_type=refresh_token&refresh_token=" + a.RefreshToken
	refused(t, f.form(t, "/oauth2/token", refresh+"&scope=orders", shopBasic...), 400, "invalid_scope")
	if about := told(t, f.form(t, "/oauth2/introspect", "token="+a.RefreshToken, shopBasic...)); about["scope"] != "openid offline_access" {
		t.Errorf("told of the refresh token: %v", about)
	}
	if a = granted(t, f.form(t, "/oauth2/token", refresh, shopBasic...)); a.Scope != "openid offline_access" {
		t.Errorf("the refresh token brought %q, but chat is not in the code", a.Scope)
	}
	f.apps["app_shop"].UserScopes = []string{"chat", "orders"}
	if a = granted(t, f.form(t, "/oauth2/token", "grant_type=refresh_token&refresh_token="+a.RefreshToken, shopBasic...)); a.Scope != "openid offline_access orders" {
		t.Errorf("the refresh token brought %q after all was given back", a.Scope)
	}
}

// TestCodeIsSigned shows that a node which cannot sign leaves the code good.
func TestCodeIsSigned(t *testing.T) {
	t.Parallel()
	f := open(t)
	code := f.signedIn(t).admitted(asking())
	f.ring.err = errors.New("no key")
	refused(t, f.form(t, "/oauth2/token", redeeming(code), shopBasic...), 500, "server_error")
	f.ring.err = nil
	granted(t, f.form(t, "/oauth2/token", redeeming(code), shopBasic...))
}

// TestCodeTwice ends what was given for a code that is shown again (RFC 6749 §4.1.2,
// RFC 9700 §4.5), and nothing else of the person's.
func TestCodeTwice(t *testing.T) {
	t.Parallel()
	for name, scope := range map[string]string{"with a refresh token": "openid offline_access", "without": "openid"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			v := f.signedIn(t)
			other := granted(t, f.form(t, "/oauth2/token", redeeming(v.admitted(asking("scope="+scope))), shopBasic...))
			code := v.admitted(asking("scope=" + scope))
			one := granted(t, f.form(t, "/oauth2/token", redeeming(code), shopBasic...))
			if _, err := f.access.Verify(t.Context(), one.AccessToken); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				refused(t, f.form(t, "/oauth2/token", redeeming(code), shopBasic...), http.StatusBadRequest, "invalid_grant")
			}
			if _, err := f.access.Verify(t.Context(), one.AccessToken); err == nil {
				t.Error("the access token is still good")
			}
			if _, err := f.access.Verify(t.Context(), other.AccessToken); err != nil {
				t.Errorf("another access token is not: %v", err)
			}
			if one.RefreshToken == "" {
				return
			}
			refused(t, f.form(t, "/oauth2/token", "grant_type=refresh_token&refresh_token="+one.RefreshToken, shopBasic...), http.StatusBadRequest, "invalid_grant")
			granted(t, f.form(t, "/oauth2/token", "grant_type=refresh_token&refresh_token="+other.RefreshToken, shopBasic...))
		})
	}
}

// TestCodeOfAPage is a public client's, which proves itself by the verifier alone.
func TestCodeOfAPage(t *testing.T) {
	t.Parallel()
	f := open(t)
	code := f.signedIn(t).admitted(asking("client_id=app_page", "redirect_uri=https://page.example/", "scope=chat offline_access"))
	w := f.form(t, "/oauth2/token", redeeming(code, "client_id=app_page", "redirect_uri=https://page.example/"), "Origin", "https://page.example")
	a := granted(t, w)
	if a.RefreshToken == "" || w.Header().Get("Access-Control-Allow-Origin") != "https://page.example" {
		t.Errorf("%+v %v", a, w.Header())
	}
	granted(t, f.form(t, "/oauth2/token", "grant_type=refresh_token&client_id=app_page&refresh_token="+a.RefreshToken))
}
