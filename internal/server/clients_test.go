package server

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/oauth2/jwt"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/user"
)

// oauthPost sends a form as an app, and decodes the answer.
func oauthPost(t *testing.T, c *http.Client, path string, a app.App, its string, fields ...string) (status int, answer map[string]any) {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuerTest+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if its != "" {
		r.SetBasicAuth(string(a.ID), its)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if path != "/oauth2/revoke" || resp.StatusCode != http.StatusOK {
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
	}
	return resp.StatusCode, answer
}

func addApp(t *testing.T, core *Core, r app.Registration) (app.App, string) {
	t.Helper()
	a, its, err := core.Apps.Add(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a, string(its.Reveal())
}

// TestClientsWithLibraries has golang.org/x/oauth2 get tokens for an app and for a user,
// and coreos/go-oidc verify them by what the discovery document says.
func TestClientsWithLibraries(t *testing.T) {
	t.Parallel()
	serve(t, load(t, t.TempDir(), ""), func(core *Core, base []string) {
		ctx := oidc.ClientContext(t.Context(), leadingTo(t, base[0]))
		_, _, ann := withShop(t, ctx, core)
		a, its := addApp(t, core, app.Registration{
			Name: "orders", Scopes: []string{"read", "write"}, UserScopes: []string{"chat"}, Grants: app.Grants(),
			RedirectURIs: []string{"com.example.orders:/back"}, Claims: `{"org": "acme", "of": "${client_id}"}`, Targets: []string{"https://stock.example"},
		})
		provider, err := oidc.NewProvider(ctx, issuerTest)
		if err != nil {
			t.Fatal(err)
		}
		check := func(t *testing.T, tokens *oauth2.Token, audience string) (all map[string]any) {
			t.Helper()
			got, err := provider.VerifierContext(ctx, &oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{oidc.ES256}}).Verify(ctx, tokens.AccessToken)
			if err != nil {
				t.Fatalf("go-oidc refuses the token: %v", err)
			}
			if err := got.Claims(&all); err != nil {
				t.Fatal(err)
			}
			return all
		}
		for name, style := range map[string]oauth2.AuthStyle{"basic": oauth2.AuthStyleInHeader, "post": oauth2.AuthStyleInParams} {
			c := clientcredentials.Config{
				ClientID: string(a.ID), ClientSecret: its, TokenURL: provider.Endpoint().TokenURL, Scopes: []string{"read"}, AuthStyle: style,
				EndpointParams: url.Values{"resource": {"https://stock.example"}},
			}
			tokens, err := c.Token(ctx)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all := check(t, tokens, "https://stock.example")
			if all["scope"] != "read" || all["org"] != "acme" || all["of"] != string(a.ID) || all["sub"] != string(a.ID) {
				t.Errorf("%s: claims %v", name, all)
			}
		}

		k, err := jose.Generate(jose.RS256, "2027")
		if err != nil {
			t.Fatal(err)
		}
		public, err := k.MarshalJWK()
		if err != nil {
			t.Fatal(err)
		}
		named, err := app.NewKey("", "", public)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := core.Apps.AddKey(ctx, a.ID, named); err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(k.Crypto())
		if err != nil {
			t.Fatal(err)
		}
		bearer := jwt.Config{
			Email: string(a.ID), Subject: string(ann.ID), Audience: issuerTest, Expires: time.Minute,
			PrivateKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), PrivateKeyID: "2027",
			TokenURL: provider.Endpoint().TokenURL, PrivateClaims: map[string]any{"jti": "once"},
		}
		tokens, err := bearer.TokenSource(ctx).Token()
		if err != nil {
			t.Fatal(err)
		}
		if all := check(t, tokens, issuerTest); all["sub"] != string(ann.ID) || all["scope"] != "chat" || all["org"] != nil {
			t.Errorf("ann's token: %v", all)
		}
		if _, err := bearer.TokenSource(ctx).Token(); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
			t.Errorf("an assertion with the same jti: %v", err)
		}
	})
}

// TestPublishedKeysOfApps authenticates an app by a key that it publishes, and ends with
// the key.
func TestPublishedKeysOfApps(t *testing.T) {
	t.Parallel()
	k, err := jose.Generate(jose.ES256, "")
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.NewSet(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	document, err := set.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(document) }))
	defer keys.Close()
	serve(t, load(t, t.TempDir(), ""), func(core *Core, base []string) {
		c := leadingTo(t, base[0])
		a, _ := addApp(t, core, app.Registration{Name: "orders"})
		prove := func(jti string) (int, map[string]any) {
			text, err := json.Marshal(map[string]any{
				"iss": a.ID, "sub": a.ID, "aud": issuerTest, "jti": jti, "exp": time.Now().Add(time.Minute).Unix(),
			})
			if err != nil {
				t.Fatal(err)
			}
			signed, err := k.Sign("client-authentication+jwt", text)
			if err != nil {
				t.Fatal(err)
			}
			return oauthPost(t, c, "/oauth2/token", a, "", "grant_type", "client_credentials",
				"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", signed)
		}
		if status, answer := prove("1"); status != http.StatusUnauthorized || answer["error"] != "invalid_client" {
			t.Errorf("before the URL is known: %d %v", status, answer)
		}
		if _, err := core.Apps.AddKey(t.Context(), a.ID, app.Key{URL: keys.URL}); err != nil {
			t.Fatal(err)
		}
		if status, answer := prove("2"); status != http.StatusOK {
			t.Errorf("%d %v", status, answer)
		}
		if status, answer := prove("2"); status != http.StatusUnauthorized {
			t.Errorf("a second time: %d %v", status, answer)
		}
		if err := core.Apps.RemoveKey(t.Context(), a.ID, keys.URL); err != nil {
			t.Fatal(err)
		}
		if status, answer := prove("3"); status != http.StatusUnauthorized {
			t.Errorf("after the URL was removed: %d %v", status, answer)
		}
	})
}

// TestRevokedEverywhere revokes at one node what another one issued: the gateway of each,
// and introspection, refuse it, and what it was exchanged for.
func TestRevokedEverywhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve(t, load(t, dir, accessGateway), func(core *Core, one []string) {
		a, its := addApp(t, core, app.Registration{Name: "orders", Scopes: []string{"read"}, Grants: app.Grants()[1:]})
		serve(t, load(t, dir, accessGateway), func(_ *Core, two []string) {
			here, there := leadingTo(t, one[0]), leadingTo(t, two[0])
			get := func(c *http.Client, fields ...string) string {
				status, answer := oauthPost(t, c, "/oauth2/token", a, its, fields...)
				text, _ := answer["access_token"].(string)
				if status != http.StatusOK {
					t.Fatalf("%d %v", status, answer)
				}
				return text
			}
			const isAccess = "urn:ietf:params:oauth:token-type:access_token"
			own := get(here, "grant_type", "client_credentials")
			exchanged := get(there, "grant_type", string(app.TokenExchange), "subject_token", own, "subject_token_type", isAccess)
			left := get(here, "grant_type", "client_credentials")
			good := func(text string) (said []any) {
				for _, c := range []*http.Client{here, there} {
					_, answer := oauthPost(t, c, "/oauth2/introspect", a, its, "token", text)
					said = append(said, answer["active"])
				}
				return append(said, get200(t, one[1], text), get200(t, two[1], text))
			}
			all := func(is bool) []any { return []any{is, is, is, is} }
			for _, text := range []string{own, exchanged, left} {
				if diff := cmp.Diff(all(true), good(text)); diff != "" {
					t.Errorf("before (-want +got):\n%s", diff)
				}
			}
			if status, answer := oauthPost(t, there, "/oauth2/revoke", a, its, "token", own); status != http.StatusOK {
				t.Fatalf("%d %v", status, answer)
			}
			for _, text := range []string{own, exchanged} {
				waitFor(t, "the revocation", func() bool { return cmp.Equal(all(false), good(text)) })
			}
			if diff := cmp.Diff(all(true), good(left)); diff != "" {
				t.Errorf("another token (-want +got):\n%s", diff)
			}
		})
	})
}

// TestPeopleByID: of the operator's own directory nobody's scopes are known.
func TestPeopleByID(t *testing.T) {
	t.Parallel()
	run(t, load(t, t.TempDir(), ""), func(ctx context.Context, core *Core) error {
		ann, err := core.Users.Add(ctx, "ann", secret.FromString(annsPassword), []string{"chat"})
		if err != nil {
			return err
		}
		p := people{builtin: core.Users, own: user.NewRemote(user.RemoteConfig{Scopes: []string{"all"}})}
		for subject, want := range map[string]user.User{
			string(ann.ID): ann, "ext_bob": {ID: "ext_bob"}, "usr_x": {}, "app_x": {},
		} {
			got, err := p.ByID(ctx, subject)
			if diff := cmp.Diff(want.ID, got.ID); diff != "" || len(got.Scopes) != len(want.Scopes) || got.Disabled {
				t.Errorf("%s: %+v, want %+v", subject, got, want)
			}
			if (fault.KindOf(err) == fault.NotFound) != (want.ID == "") {
				t.Errorf("%s: %v", subject, err)
			}
		}
		return nil
	})
}

func get200(t *testing.T, base, text string) bool {
	t.Helper()
	return get(t, base+"/x", text) == http.StatusOK
}
