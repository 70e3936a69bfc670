package app

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMay(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		app  App
		want []Grant
	}{
		"with a secret":   {App{}, []Grant{ClientCredentials, RefreshToken}},
		"public":          {App{Public: true}, []Grant{RefreshToken}},
		"signs people in": {App{Public: true, RedirectURIs: []string{"x:/"}}, []Grant{AuthorizationCode, RefreshToken}},
		"as it says":      {App{Grants: []Grant{TokenExchange, JWTBearer}, RedirectURIs: []string{"x:/"}}, []Grant{JWTBearer, TokenExchange}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []Grant
			for _, g := range append(Grants(), "password", "") {
				if tc.app.May(g) {
					got = append(got, g)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("grants (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGrantNames(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Grant{
		"token-exchange": TokenExchange, "jwt-bearer": JWTBearer, string(JWTBearer): JWTBearer,
		"refresh_token": RefreshToken, "exchange": "exchange", "": "",
	} {
		var g Grant
		if err := g.UnmarshalText([]byte(text)); err != nil || g != want {
			t.Errorf("%q reads as %q, %v", text, g, err)
		}
	}
	if got := TokenExchange.Short() + " " + RefreshToken.Short(); got != "token-exchange refresh_token" {
		t.Errorf("short names: %s", got)
	}
}

// TestRedirects goes by RFC 9700 §4.1.3 and RFC 8252 §7.3: to the letter, but for the port
// of a loopback address.
func TestRedirects(t *testing.T) {
	t.Parallel()
	a := App{RedirectURIs: []string{
		"https://a.example/back", "https://b.example/back?x=1", "http://127.0.0.1/back", "http://localhost:3000/back",
		"http://[::1]:80/back", "com.example.app:/back",
	}}
	for uri, want := range map[string]bool{
		"https://a.example/back":           true,
		"https://a.example/back/":          false,
		"https://a.example/back?x=1":       false,
		"https://a.example/back#x":         false,
		"https://a.example/BACK":           false,
		"https://A.example/back":           false,
		"https://a.example:443/back":       false,
		"https://a.example:8443/back":      false,
		"https://a.example/x/../back":      false,
		"https://a.example/%62ack":         false,
		"https://a.example.evil/back":      false,
		"https://a.example@evil/back":      false,
		"http://a.example/back":            false,
		"https://b.example/back?x=1":       true,
		"https://b.example/back":           false,
		"https://b.example/back?x=1&y=2":   false,
		"http://127.0.0.1/back":            true,
		"http://127.0.0.1:49152/back":      true,
		"http://127.0.0.1:49152/other":     false,
		"http://127.0.0.1:49152/back?x":    false,
		"http://127.0.0.2:49152/back":      false,
		"https://127.0.0.1:49152/back":     false,
		"http://u@127.0.0.1:49152/back":    false,
		"http://127.0.0.1:49152@evil/back": false,
		"http://127.0.0.1:x/back":          false,
		"http://127.0.0.1:/back":           false,
		"http://localhost:49152/back":      true,
		"http://LOCALHOST:49152/back":      false,
		"http://localhost.evil:1/back":     false,
		"http://[::1]:49152/back":          true,
		"com.example.app:/back":            true,
		"com.example.app:/back2":           false,
		"com.example.app:3000/back":        false,
		"":                                 false,
	} {
		if got := a.Redirects(uri); got != want {
			t.Errorf("Redirects(%q) = %t, want %t", uri, got, want)
		}
	}
}

func TestValidateClient(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit  func(*Registration)
		field string // "" if it is fine
	}{
		"everything": {func(r *Registration) {
			r.Grants, r.RedirectURIs = Grants(), []string{"https://a.example/back", "http://localhost:1/", "com.example.app:/back"}
			r.UserScopes, r.Audiences, r.Targets, r.FirstParty = []string{"chat"}, []string{"https://a.example"}, []string{"stock"}, true
			r.Claims = `{"org": "acme", "app": "${client_id}"}`
		}, ""},
		"unknown grant":           {func(r *Registration) { r.Grants = []Grant{"password"} }, "grants[0]"},
		"grant twice":             {func(r *Registration) { r.Grants = []Grant{RefreshToken, RefreshToken} }, "grants[1]"},
		"public":                  {func(r *Registration) { r.Public, r.Grants = true, []Grant{RefreshToken} }, ""},
		"public, for itself":      {func(r *Registration) { r.Public, r.Grants = true, []Grant{RefreshToken, ClientCredentials} }, "grants[1]"},
		"public, exchange":        {func(r *Registration) { r.Public, r.Grants = true, []Grant{TokenExchange} }, "grants[0]"},
		"public, bearer":          {func(r *Registration) { r.Public, r.Grants = true, []Grant{JWTBearer} }, "grants[0]"},
		"code without redirect":   {func(r *Registration) { r.Grants = []Grant{AuthorizationCode} }, "grants[0]"},
		"redirect by http":        {func(r *Registration) { r.RedirectURIs = []string{"https://a.example/", "http://a.example/"} }, "redirect_uris[1]"},
		"redirect with fragment":  {func(r *Registration) { r.RedirectURIs = []string{"https://a.example/#x"} }, "redirect_uris[0]"},
		"redirect, no fragment":   {func(r *Registration) { r.RedirectURIs = []string{"https://a.example/#"} }, "redirect_uris[0]"},
		"redirect with wildcard":  {func(r *Registration) { r.RedirectURIs = []string{"https://*.a.example/"} }, "redirect_uris[0]"},
		"redirect, wildcard path": {func(r *Registration) { r.RedirectURIs = []string{"https://a.example/*"} }, "redirect_uris[0]"},
		"redirect with user":      {func(r *Registration) { r.RedirectURIs = []string{"https://u@a.example/"} }, "redirect_uris[0]"},
		"relative redirect":       {func(r *Registration) { r.RedirectURIs = []string{"/back"} }, "redirect_uris[0]"},
		"redirect without host":   {func(r *Registration) { r.RedirectURIs = []string{"https:///back"} }, "redirect_uris[0]"},
		"redirect to a script":    {func(r *Registration) { r.RedirectURIs = []string{"javascript:alert(1)"} }, "redirect_uris[0]"},
		"redirect to data":        {func(r *Registration) { r.RedirectURIs = []string{"data:text/html,x"} }, "redirect_uris[0]"},
		"redirect to a file":      {func(r *Registration) { r.RedirectURIs = []string{"file:///etc/passwd"} }, "redirect_uris[0]"},
		"redirect with a line":    {func(r *Registration) { r.RedirectURIs = []string{"https://a.example/\r\nX: y"} }, "redirect_uris[0]"},
		"redirect with \\":        {func(r *Registration) { r.RedirectURIs = []string{`https://a.example\@evil/`} }, "redirect_uris[0]"},
		"long redirect":           {func(r *Registration) { r.RedirectURIs = []string{"https://a.example/" + strings.Repeat("x", 512)} }, "redirect_uris[0]"},
		"many redirects": {func(r *Registration) {
			r.RedirectURIs = strings.Fields(strings.Repeat("https://a.example/ ", 33))
		}, "redirect_uris"},
		"user scope":        {func(r *Registration) { r.UserScopes = []string{"a b"} }, "user_scopes[0]"},
		"public, users'":    {func(r *Registration) { r.Public, r.UserScopes = true, []string{"chat"} }, ""},
		"empty audience":    {func(r *Registration) { r.Audiences = []string{""} }, "audiences[0]"},
		"target, fragment":  {func(r *Registration) { r.Targets = []string{"https://a.example/#x"} }, "targets[0]"},
		"many targets":      {func(r *Registration) { r.Targets = strings.Fields(strings.Repeat("x ", 33)) }, "targets"},
		"public, audiences": {func(r *Registration) { r.Public, r.Audiences = true, []string{"x"} }, "audiences"},
		"public, targets":   {func(r *Registration) { r.Public, r.Targets = true, []string{"x"} }, "audiences"},
		"public, claims":    {func(r *Registration) { r.Public, r.Claims = true, "{}" }, "claims"},
		"claims, no JSON":   {func(r *Registration) { r.Claims = "org=acme" }, "claims"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := Registration{Name: "demo"}
			tc.edit(&r)
			wantField(t, r.withDefaults(keySets).validate(keySets), tc.field)
		})
	}
}

// FuzzRedirects shows that nobody is sent where the app did not say: what is taken and not
// to the letter is on this machine, by plain http, on the same path.
func FuzzRedirects(f *testing.F) {
	for _, uri := range []string{"http://127.0.0.1:1/back", "http://localhost:80@evil/back", "http://[::1]:9/back", "http:\\\\127.0.0.1/back"} {
		f.Add(uri)
	}
	a := App{RedirectURIs: []string{"https://a.example/back", "http://127.0.0.1/back", "http://[::1]/back"}}
	f.Fuzz(func(t *testing.T, uri string) {
		if !a.Redirects(uri) || uri == a.RedirectURIs[0] {
			return
		}
		host, path, ok := strings.Cut(strings.TrimPrefix(uri, "http://"), "/")
		port, v4 := strings.CutPrefix(host, "127.0.0.1")
		if !v4 {
			port, ok = strings.CutPrefix(host, "[::1]")
		}
		if !ok || path != "back" || strings.Trim(port, ":0123456789") != "" {
			t.Errorf("people may be sent to %q", uri)
		}
	})
}
