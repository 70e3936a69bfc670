package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/carnetproject/carnet"
)

const register = "/api/api-manager/v2/consumer/mobile_device/credential/register"

// login signs the demo's user in.
func (n *node) login() (access, refresh string) {
	n.t.Helper()
	r := n.must(200, "POST", n.public+"/login", url.Values{
		"username": {n.demo["CARNET_USER"]}, "password": {n.demo["CARNET_PASSWORD"]},
	})
	return r.str("access_token"), r.str("refresh_token")
}

// registerDevice returns a device's token.
func (n *node) registerDevice(key string) string {
	n.t.Helper()
	r := n.must(200, "POST", n.gateway+register, `{"request":{"key":"`+key+`"}}`,
		"Authorization", bearer(n.demo["CARNET_APP_TOKEN"]))
	result, _ := r.body["result"].(map[string]any)
	token, _ := result["token"].(string)
	if token == "" {
		n.t.Fatalf("no token in %s", r.text)
	}
	return token
}

// TestNewcomer walks through what the README and the welcome text promise.
func TestNewcomer(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.start()

	// a user signs in and is let through
	access, refresh := n.login()
	demo := n.must(200, "GET", n.gateway+"/demo/hello", nil, "Authorization", bearer(access))
	if !strings.Contains(demo.text, `"X-Consumer-Username":"access"`) {
		t.Errorf("the upstream was not told who asks: %s", demo.text)
	}
	n.must(401, "GET", n.gateway+"/demo/hello", nil)
	n.must(401, "GET", n.gateway+"/demo/hello", nil, "Authorization", bearer(access+"x"))
	open := n.must(200, "GET", n.gateway+"/open/hello", nil, "X-Consumer-Username", "admin", "x_consumer_groups", "admin")
	if strings.Contains(strings.ToLower(open.text), "consumer") {
		t.Errorf("an identity header of the client's own reached the upstream: %s", open.text)
	}

	// three lines protect a Go handler
	keys, err := carnet.RemoteKeys(carnet.RemoteConfig{Issuer: n.public, URL: n.public + "/.well-known/jwks.json"})
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := carnet.NewVerifier(carnet.VerifierConfig{Keys: keys, Policy: carnet.AccessTokens(n.public, n.public)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifier.Verify(t.Context(), access); err != nil {
		t.Errorf("package carnet refuses the access token: %v", err)
	}

	// refresh: the new pair works, and is given again if it was lost; a token before it ends
	// the family
	refreshWith := func(token string) url.Values {
		return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	}
	second := n.must(200, "POST", n.public+"/oauth2/token", refreshWith(refresh))
	n.must(200, "GET", n.gateway+"/demo", nil, "Authorization", bearer(second.str("access_token")))
	if again := n.must(200, "POST", n.public+"/oauth2/token", refreshWith(refresh)); again.str("refresh_token") != second.str("refresh_token") {
		t.Error("the answer that was lost is not given again")
	}
	third := n.must(200, "POST", n.public+"/oauth2/token", refreshWith(second.str("refresh_token")))
	if r := n.must(400, "POST", n.public+"/oauth2/token", refreshWith(refresh)); r.str("error") != "invalid_grant" {
		t.Errorf("reuse answered %s", r.text)
	}
	n.must(400, "POST", n.public+"/oauth2/token", refreshWith(third.str("refresh_token")))

	// an app gets a token for itself
	req := func(secret string) reply {
		r, err := n.do("POST", n.public+"/oauth2/token", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {n.demo["CARNET_CLIENT_ID"]}, "client_secret": {secret},
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	app := req(n.demo["CARNET_CLIENT_SECRET"])
	n.must(200, "GET", n.gateway+"/demo", nil, "Authorization", bearer(app.str("access_token")))
	if r := req("wrong"); r.status != 401 || r.str("error") != "invalid_client" {
		t.Errorf("a wrong secret answered %d %s", r.status, r.text)
	}

	// a visitor of a page gets a session token, which is no access token
	sts := n.must(200, "POST", n.public+"/sts", url.Values{
		"clientId": {n.demo["CARNET_CLIENT_ID"]}, "clientSecret": {n.demo["CARNET_CLIENT_SECRET"]},
		"identity": {"ann@example.com"}, "aud": {""}, "isAnonymous": {"false"},
	})
	if sts.str("jwt") == "" {
		t.Errorf("no jwt in %s", sts.text)
	}
	n.must(401, "GET", n.gateway+"/demo", nil, "Authorization", bearer(sts.str("jwt")))

	// a device registers with the app's token and nothing else
	device := n.registerDevice("dev.sunbird.app-7b1c")
	got := n.must(200, "GET", n.gateway+"/demo", nil, "Authorization", bearer(device))
	if !strings.Contains(got.text, `"X-Credential-Identifier":"mobilev2-dev.sunbird.app-7b1c-`) {
		t.Errorf("the upstream was not told which device asks: %s", got.text)
	}
	body := `{"request":{"key":"k"}}`
	n.must(401, "POST", n.gateway+register, body)
	n.must(403, "POST", n.gateway+register, body, "Authorization", bearer(device))
	n.must(403, "GET", n.gateway+"/demo", nil, "Authorization", bearer(n.demo["CARNET_APP_TOKEN"]))
	n.must(200, "POST", n.gateway+strings.TrimPrefix(register, "/api/api-manager"), body, "Authorization", bearer(n.demo["CARNET_APP_TOKEN"]))
	n.must(404, "POST", n.public+register, body, "Authorization", bearer(n.demo["CARNET_APP_TOKEN"])) // only behind the gateway

	// nothing that was secret stands in the log
	for _, secret := range []string{access, refresh, device, sts.str("jwt"), n.demo["CARNET_PASSWORD"], n.demo["CARNET_CLIENT_SECRET"]} {
		if strings.Contains(n.log.String(), secret) {
			t.Error("a secret stands in the log")
		}
	}
	if code := n.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("a clean stop exits with %d", code)
	}
}

// TestSignInsEnd signs a user in to a page that keeps no secret, and ends what goes
// on from there.
func TestSignInsEnd(t *testing.T) {
	t.Parallel()
	n := newNode(t, "CARNET_LIMITS_LOGIN_PER_IP=none", "CARNET_LIMITS_LOGIN_PER_USER=none")
	n.start()
	page := strings.TrimPrefix(strings.TrimSpace(n.carnet("apps", "add", "page", "--public")), "client_id=")
	signIn := url.Values{"username": {n.demo["CARNET_USER"]}, "password": {n.demo["CARNET_PASSWORD"]}, "client_id": {page}}
	n.wait("knowing the new app", func() bool {
		r, err := n.do("POST", n.public+"/login", signIn)
		return err == nil && r.status == 200
	})
	for name, end := range map[string][]string{
		"signed out":         {"users", "signout", n.demo["CARNET_USER"]},
		"fewer scopes":       {"users", "set", n.demo["CARNET_USER"], "--scopes", ""},
		"disabled":           {"users", "disable", n.demo["CARNET_USER"]},
		"the app's disabled": {"apps", "disable", page},
	} {
		n.carnet("users", "enable", n.demo["CARNET_USER"])
		n.carnet("users", "set", n.demo["CARNET_USER"], "--scopes", "demo")
		n.carnet("apps", "enable", page)
		var r reply
		refresh := func() bool {
			var err error
			r, err = n.do("POST", n.public+"/oauth2/token", url.Values{
				"grant_type": {"refresh_token"}, "refresh_token": {r.str("refresh_token")}, "client_id": {page},
			})
			return err == nil && r.status == 200
		}
		n.wait("signing in again", func() bool {
			var err error
			r, err = n.do("POST", n.public+"/login", signIn)
			return err == nil && r.status == 200
		})
		if !refresh() {
			t.Fatalf("%s: no refresh before: %s", name, r.text)
		}
		n.carnet(end...)
		n.wait("refusing: "+name, func() bool { return !refresh() })
	}
}

// TestRestart kills the node and starts it again: every token goes on working.
func TestRestart(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.start()
	access, refresh := n.login()
	device := n.registerDevice("phone-1")
	before := n.demo

	n.stop(os.Kill)
	n.start()

	for name, value := range before {
		if n.demo[name] != value {
			t.Errorf("%s changed over a restart", name)
		}
	}
	n.must(200, "GET", n.gateway+"/demo", nil, "Authorization", bearer(access))
	n.must(200, "GET", n.gateway+"/demo", nil, "Authorization", bearer(device))
	n.must(200, "POST", n.public+"/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
	for _, file := range []string{"signing.key", "data.key", "admin.secret", "demo.env", "carnet.db"} {
		info, err := os.Stat(filepath.Join(n.data, file))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v: want 0600", file, info.Mode(), err)
		}
	}
}

// TestReload changes the routes while the node serves: a good change is in force, a
// bad one leaves what was.
func TestReload(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.start()
	file := filepath.Join(n.data, "carnet.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n.must(404, "GET", n.gateway+"/new", nil)
	good := strings.Replace(string(text), "paths: [/open]", "paths: [/open, /new]", 1)
	if err := os.WriteFile(file, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	reached := func() bool {
		r, err := n.do("GET", n.gateway+"/new", nil)
		return err == nil && r.status == 200
	}
	n.wait("serving the new route", reached)
	if err := os.WriteFile(file, []byte(strings.Replace(good, "services:", "servicess:", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	n.wait("telling of the bad file", func() bool { return strings.Contains(n.log.String(), "servicess") })
	if !reached() {
		t.Error("a bad configuration took the route away")
	}
	if !strings.Contains(n.log.String(), `services`) {
		t.Error("the log does not name the nearest key")
	}
}

// TestAdminAPI shows that the admin secret opens it and nothing else does.
func TestAdminAPI(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.start()
	secret, err := os.ReadFile(filepath.Join(n.data, "admin.secret"))
	if err != nil {
		t.Fatal(err)
	}
	n.must(401, "GET", n.admin+"/carnet/v1/keysets", nil)
	n.must(401, "POST", n.admin+"/carnet/v1/keysets/access/rotate", nil, "Authorization", bearer("x"))
	auth := []string{"Authorization", bearer(strings.TrimSpace(string(secret)))}
	before := n.must(200, "GET", n.admin+"/carnet/v1/keysets", nil, auth...)
	n.must(204, "POST", n.admin+"/carnet/v1/keysets/access/rotate", nil, auth...)
	after := n.must(200, "GET", n.admin+"/carnet/v1/keysets", nil, auth...)
	if got, want := strings.Count(after.text, `"alg"`), strings.Count(before.text, `"alg"`)+2; got != want {
		t.Errorf("%d keys after the rotation, want %d", got, want)
	}
	if strings.Contains(after.text, `"d"`) {
		t.Error("a private key is shown")
	}
	n.must(404, "POST", n.admin+"/carnet/v1/keysets/nosuch/rotate", nil, auth...)
	n.must(204, "POST", n.admin+"/carnet/v1/reload", nil, auth...)
	if m := n.must(200, "GET", n.admin+"/metrics", nil); !strings.Contains(m.text, "carnet_build_info") {
		t.Error("metrics lack carnet_build_info")
	}
}
