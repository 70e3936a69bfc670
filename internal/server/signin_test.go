package server

import (
	"context"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/user"
)

var (
	pageForm  = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)">(.*?)</form>`)
	pageInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// person is a browser, with somebody who fills in its forms.
type person struct {
	t    *testing.T
	c    *http.Client
	page string
	back url.Values // what an app is sent
}

// issuerTest is the issuer of nodes in tests.
const issuerTest = "http://issuer.test"

// leadingTo is a client for which the issuer is at an address.
func leadingTo(t *testing.T, base string) *http.Client {
	t.Helper()
	to := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, strings.TrimPrefix(base, "http://"))
	}}
	t.Cleanup(to.CloseIdleConnections)
	return &http.Client{Transport: to}
}

func newPerson(t *testing.T, base string) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, c: leadingTo(t, base)}
	p.c.Jar, p.c.CheckRedirect = jar, func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), issuerTest) {
			p.back = r.URL.Query()
			return http.ErrUseLastResponse
		}
		return nil
	}
	return p
}

func (p *person) look(r *http.Request) {
	p.t.Helper()
	resp, err := p.c.Do(r.WithContext(p.t.Context()))
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	p.page = string(body)
}

// visit opens an address.
func (p *person) visit(address string) {
	p.t.Helper()
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.look(r)
}

// send fills in the first form of the page.
func (p *person) send(fields ...string) {
	p.t.Helper()
	found := pageForm.FindStringSubmatch(p.page)
	if found == nil {
		p.t.Fatalf("there is no form in %s", p.page)
	}
	form := url.Values{}
	for _, in := range pageInput.FindAllStringSubmatch(found[2], -1) {
		form.Set(in[1], html.UnescapeString(in[2]))
	}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	r, err := http.NewRequest(http.MethodPost, issuerTest+found[1], strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	p.look(r)
}

const annsPassword = "correct horse battery"

// withShop makes a person and an app that signs people in.
func withShop(t *testing.T, ctx context.Context, core *Core) (a app.App, appSecret string, ann user.User) {
	t.Helper()
	ann, err := core.Users.Add(ctx, "ann", secret.FromString(annsPassword), []string{"chat"})
	if err != nil {
		t.Fatal(err)
	}
	a, made, err := core.Apps.Add(ctx, app.Registration{
		Name: "The Shop", RedirectURIs: []string{"https://shop.example/back"}, UserScopes: []string{"chat"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, string(made.Reveal()), ann
}

// TestSignInWithLibraries has golang.org/x/oauth2 and coreos/go-oidc sign somebody in,
// refresh, and be told that they are signed out.
func TestSignInWithLibraries(t *testing.T) {
	t.Parallel()
	serve(t, load(t, t.TempDir(), ""), func(core *Core, base []string) {
		ctx := oidc.ClientContext(t.Context(), leadingTo(t, base[0]))
		a, appSecret, ann := withShop(t, ctx, core)
		provider, err := oidc.NewProvider(ctx, issuerTest)
		if err != nil {
			t.Fatal(err)
		}
		client := oauth2.Config{
			ClientID: string(a.ID), ClientSecret: appSecret, Endpoint: provider.Endpoint(), RedirectURL: a.RedirectURIs[0],
			Scopes: []string{oidc.ScopeOpenID, "profile", oidc.ScopeOfflineAccess, "chat"},
		}
		verifier := oauth2.GenerateVerifier()
		p := newPerson(t, base[0])
		p.visit(client.AuthCodeURL("state", oidc.Nonce("nonce"), oauth2.S256ChallengeOption(verifier)))
		p.send("username", "ann", "password", annsPassword)
		p.send("answer", "allow")
		if p.back.Get("state") != "state" || p.back.Get("iss") != issuerTest {
			t.Fatalf("back with %v", p.back)
		}
		tokens, err := client.Exchange(ctx, p.back.Get("code"), oauth2.VerifierOption(verifier))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := tokens.Extra("id_token").(string)
		id, err := provider.VerifierContext(ctx, &oidc.Config{ClientID: string(a.ID)}).Verify(ctx, text)
		if err != nil {
			t.Fatalf("go-oidc refuses the ID token: %v", err)
		}
		var more struct {
			Name string `json:"preferred_username"`
		}
		if err := id.Claims(&more); err != nil || id.Subject != string(ann.ID) || id.Nonce != "nonce" || more.Name != "ann" {
			t.Errorf("ID token %+v, %+v, %v", id, more, err)
		}
		if err := id.VerifyAccessToken(tokens.AccessToken); err != nil {
			t.Errorf("at_hash: %v", err)
		}
		info, err := provider.UserInfo(ctx, client.TokenSource(ctx, tokens))
		if err != nil || info.Subject != id.Subject {
			t.Errorf("userinfo %+v, %v", info, err)
		}
		fresh, err := client.TokenSource(ctx, &oauth2.Token{RefreshToken: tokens.RefreshToken}).Token()
		if err != nil || fresh.RefreshToken == "" || fresh.RefreshToken == tokens.RefreshToken {
			t.Fatalf("refresh: %v", err)
		}
		if err := core.Apps.Set(ctx, a.ID, func(r *app.Registration) { r.UserScopes = nil }); err != nil {
			t.Fatal(err)
		}
		narrow, err := client.TokenSource(ctx, &oauth2.Token{RefreshToken: fresh.RefreshToken}).Token()
		if err != nil {
			t.Fatalf("refresh for an app that was narrowed: %v", err)
		}
		if scope := narrow.Extra("scope"); scope != "openid profile offline_access" {
			t.Errorf("an app that was narrowed has the scope %q", scope)
		}
		if _, err := client.Exchange(ctx, p.back.Get("code"), oauth2.VerifierOption(verifier)); err == nil {
			t.Error("a code brings tokens twice")
		}
		if _, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(fresh)); err == nil {
			t.Error("the access tokens of a code that was used twice are still good")
		}
	})
}

// TestSignedOutByOperator ends what a person does in a browser, as carnet users signout
// does, and as a new password.
func TestSignedOutByOperator(t *testing.T) {
	t.Parallel()
	serve(t, load(t, t.TempDir(), ""), func(core *Core, base []string) {
		_, _, ann := withShop(t, t.Context(), core)
		for name, end := range map[string]func() error{
			"signout":  func() error { return core.Users.SignOut(t.Context(), ann.ID) },
			"passwd":   func() error { return core.Users.SetPassword(t.Context(), ann.ID, secret.FromString(annsPassword)) },
			"disabled": func() error { return core.Users.Disable(t.Context(), ann.ID) },
		} {
			if err := core.Users.Enable(t.Context(), ann.ID); err != nil {
				t.Fatal(err)
			}
			p := newPerson(t, base[0])
			p.visit(issuerTest + "/account")
			p.send("username", "ann", "password", annsPassword)
			if !strings.Contains(p.page, "Where you are signed in") {
				t.Fatalf("%s: %s", name, p.page)
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			p.visit(issuerTest + "/account")
			if !strings.Contains(p.page, `name="password"`) {
				t.Errorf("after %s: %s", name, p.page)
			}
		}
	})
}
