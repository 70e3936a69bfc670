package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/secret"
)

const appSecret = "an-app-secret-of-at-least-32-bytes"

// devicesNode is a node as an installation of Sunbird would set it up.
const devicesNode = `
keys:
  mobile_device: {algorithms: [RS256], active: 2, kid_prefix: mobile_devicev2_key, issuer_prefix: mobilev2, rotation: 0s, verification: forever}
  portal_anonymous: {algorithms: [ES256], active: 3, kid_prefix: portal_anonymous_key, rotation: 0s, verification: forever}
  moved: {algorithms: [ES256], kid_prefix: moved_key, rotation: 0s}
  accessv1: {algorithms: [RS256], active: 2, kid_prefix: accessv1_key}
devices:
  sets: [mobile_device, {name: portal_anonymous, form: shipped}, {name: moved, form: shipped, redirect: /api/api-manager/v2/consumer/mobile_device/credential/register}]
  legacy: [mobile_device]
  %s
limits: {register_per_device: %s, register_per_ip: %s}
gateway:
  consumers:
  - {username: mobile_app, groups: [mobileAdmin], jwt_secrets: [{key: mobile_app, secret: ` + appSecret + `}]}
  - {username: mobile_devicev2, groups: [device], jwt_secrets: [{key: mobilev2, key_set: mobile_device}]}
  - {username: portal_anonymous, groups: [anonymous], jwt_secrets: [{key: portal_anonymous, key_set: portal_anonymous}]}
  services:
  - name: adminutil
    url: internal://device
    routes:
    - name: register
      paths: [/api/api-manager]
      strip_path: false
      plugins: {jwt: {}, acl: {allow: [mobileAdmin]}}
    - name: refresh
      paths: [/auth/v1/refresh/token, /health]
      strip_path: false
      plugins: {jwt: {}}
  - name: content
    url: internal://echo
    routes: [{name: content, paths: [/content]}]
    plugins: {jwt: {issuer_prefixes: [mobilev2], kid_lookup: true, status_profile: sunbird}, acl: {allow: [device, anonymous]}}
  - name: identity               # the older Kong does not tell it
    url: internal://echo
    routes: [{name: identity, paths: [/identity]}]
    plugins: {jwt: {issuer_prefixes: [mobilev2], kid_lookup: true}}
`

// phone is a device with Sunbird's mobile SDK: its api-token-handler and its
// bearer-token-refresh-interceptor, as far as they speak to us.
type phone struct {
	t          *testing.T
	base, set  string
	key        string
	token      string
	registered int
}

// answer is what either part of the SDK reads.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) result(t *testing.T) (key, secret, token string) {
	t.Helper()
	var e struct {
		Params struct{ Status string }
		Result struct{ Key, Secret, Token string }
	}
	if err := json.Unmarshal(a.body, &e); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	if (e.Params.Status == "successful") != (a.status == http.StatusOK) {
		t.Errorf("status %q with %d", e.Params.Status, a.status)
	}
	return e.Result.Key, e.Result.Secret, e.Result.Token
}

func send(t *testing.T, method, target, token, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, text}
}

// hs signs as a holder of a shared secret does.
func hs(t *testing.T, issuer, value string) string {
	t.Helper()
	k, err := jose.NewImportedSecretKey(jose.HS256, "", []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	token, err := k.Sign("", []byte(`{"iss":"`+issuer+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (d *phone) post(path string) answer {
	d.t.Helper()
	body := `{"id":"ekstep.genie.device.register","ver":"1.0","ts":"2020-03-17T22:24:31+05:30","request":{"key":"` + d.key + `"}}`
	// The SDK says gzip over plain JSON.
	return send(d.t, http.MethodPost, d.base+path, hs(d.t, "mobile_app", appSecret), body, "Content-Encoding", "gzip")
}

// register is the SDK's refreshAuthToken.
func (d *phone) register() answer {
	d.t.Helper()
	d.registered++
	a := d.post("/api/api-manager/v2/consumer/" + d.set + "/credential/register")
	if a.status == 447 {
		a = d.post(a.header.Get("Location"))
	}
	if a.status != http.StatusOK {
		if a = d.post("/api/api-manager/v1/consumer/" + d.set + "/credential/register"); a.status != http.StatusOK {
			return a
		}
	}
	_, secret, token := a.result(d.t)
	if token == "" {
		token = hs(d.t, d.key, secret)
	}
	d.token = token
	return a
}

// call is a request with the SDK's interceptor around it.
func (d *phone) call() answer {
	d.t.Helper()
	a := send(d.t, http.MethodGet, d.base+"/content/x", d.token, "")
	var body struct{ Message string }
	_ = json.Unmarshal(a.body, &body)
	if a.status == http.StatusForbidden || a.status == http.StatusUnauthorized && body.Message == "Unauthorized" {
		d.register()
		a = send(d.t, http.MethodGet, d.base+"/content/x", d.token, "")
	}
	return a
}

func unlimited(refresh string) string { return fmt.Sprintf(devicesNode, refresh, "none", "none") }

// identifier is who the gateway takes the holder of a token for.
func identifier(t *testing.T, base, token string) string {
	t.Helper()
	a := send(t, http.MethodGet, base+"/identity", token, "")
	if a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	_, id, _ := strings.Cut(string(a.body), `"X-Credential-Identifier":"`)
	id, _, _ = strings.Cut(id, `"`)
	return id
}

// TestMobileSDK registers, calls, loses its key and registers again by itself.
func TestMobileSDK(t *testing.T) {
	t.Parallel()
	serve(t, load(t, t.TempDir(), unlimited("")), func(core *Core, base []string) {
		d := &phone{t: t, base: base[1], set: "mobile_device", key: "dev.sunbird.app-7b1c0d9e5f"}
		d.token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJtb2JpbGV2Mi14LTE1OTE2MDAwMDAwMDAifQ.eA" // an old one
		for range 2 {
			if a := d.call(); a.status != http.StatusOK || d.registered != 1 {
				t.Errorf("%d %s after %d registrations", a.status, a.body, d.registered)
			}
		}
		if id := identifier(t, d.base, d.token); !strings.HasPrefix(id, "mobilev2-dev.sunbird.app-7b1c0d9e5f-") {
			t.Errorf("identity %q", id)
		}
		var u jose.Unverified
		if err := u.Parse(d.token); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(u.KeyID, "mobile_devicev2_key") || u.Type != "" {
			t.Errorf("kid %q, typ %q", u.KeyID, u.Type)
		}
		if err := core.Keys.Revoke(t.Context(), u.KeyID); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the device to register again", func() bool {
			a := d.call()
			return a.status == http.StatusOK && d.registered > 1
		})
		// a device token may not register, and a stranger neither
		path := d.base + "/api/api-manager/v2/consumer/mobile_device/credential/register"
		for token, want := range map[string]int{d.token: http.StatusUnauthorized, "": http.StatusUnauthorized, hs(t, "mobile_app", "another-secret-of-at-least-32-byte"): http.StatusUnauthorized} {
			if a := send(t, http.MethodPost, path, token, `{"request":{"key":"k"}}`); a.status != want {
				t.Errorf("register: %d %s, want %d", a.status, a.body, want)
			}
		}
	})
}

func TestMobileSDKIsMoved(t *testing.T) {
	t.Parallel()
	serve(t, load(t, t.TempDir(), unlimited("")), func(_ *Core, base []string) {
		d := &phone{t: t, base: base[1], set: "moved", key: "phone-1"}
		if a := d.register(); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if id := identifier(t, d.base, d.token); !strings.HasPrefix(id, "mobilev2-phone-1-") {
			t.Errorf("identity %q", id)
		}
	})
}

// TestPortal registers sessions in the shipped form, whose key the gateway finds by kid.
func TestPortal(t *testing.T) {
	t.Parallel()
	serve(t, load(t, t.TempDir(), unlimited("")), func(_ *Core, base []string) {
		kids := map[string]bool{}
		for i := range 40 {
			session := fmt.Sprintf("session-%d", i)
			a := send(t, http.MethodPost, base[1]+"/api/api-manager/v2/consumer/portal_anonymous/credential/register",
				hs(t, "mobile_app", appSecret), `{"request":{"key":"`+session+`"}}`)
			got, secret, token := a.result(t)
			if a.status != http.StatusOK || got != session || secret != "" || token == "" {
				t.Fatalf("%d %s", a.status, a.body)
			}
			var u jose.Unverified
			if err := u.Parse(token); err != nil {
				t.Fatal(err)
			}
			kids[u.KeyID] = true
			if id := identifier(t, base[1], token); id != session {
				t.Fatalf("identity %q, want %q", id, session)
			}
		}
		if len(kids) != 3 {
			t.Errorf("signed by %v, want the three keys", kids)
		}
	})
}

// TestLegacyDevice gets a credential of its own, the same one each time, and is let
// through with it.
func TestLegacyDevice(t *testing.T) {
	t.Parallel()
	serve(t, load(t, t.TempDir(), unlimited("")), func(core *Core, base []string) {
		for name, group := range map[string]string{"mobile_device": "device", "desktop_device": "desktop"} {
			if _, err := core.Consumers.AddConsumer(t.Context(), consumer.Info{Username: name, Groups: []consumer.Group{{Name: group}}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := core.Consumers.AddCredential(t.Context(), consumer.Record{ConsumerID: "desktop_device", Key: "taken"}); err != nil {
			t.Fatal(err)
		}
		app, path := hs(t, "mobile_app", appSecret), base[1]+"/api/api-manager/v1/consumer/mobile_device/credential/register"
		ask := func(key string) answer {
			return send(t, http.MethodPost, path, app, `{"request":{"key":"`+key+`"}}`)
		}
		var first string
		for range 2 {
			a := ask("phone-1")
			_, secret, token := a.result(t)
			if a.status != http.StatusOK || len(secret) != 32 || first != "" && first != secret {
				t.Fatalf("%d %s", a.status, a.body)
			}
			first = secret
			for _, token := range []string{token, hs(t, "phone-1", secret)} { // ours, and the device's own
				if id := identifier(t, base[1], token); id != "phone-1" {
					t.Errorf("identity %q", id)
				}
				if a := send(t, http.MethodGet, base[1]+"/content/x", token, ""); a.status != http.StatusOK {
					t.Errorf("%d %s", a.status, a.body)
				}
			}
		}
		for key, want := range map[string]string{
			"taken":                    `"err":"CREATE_CREDENTIAL_ERROR","errmsg":"ERROR WHEN CREATING CREDENTIAL FOR CONSUMER. KEY : taken, already exists."`,
			"mobile_app":               `"errmsg":"ERROR WHEN CREATING CREDENTIAL FOR CONSUMER. KEY : mobile_app, already exists."`, // the file's
			"mobilev2":                 `"errmsg":"KEY MUST NOT BEGIN WITH AN ISSUER PREFIX"`,
			"mobilev2-x-1591600000000": `"errmsg":"KEY MUST NOT BEGIN WITH AN ISSUER PREFIX"`,
		} {
			if a := ask(key); a.status != http.StatusBadRequest || !bytes.Contains(a.body, []byte(want)) {
				t.Errorf("%s: %d %s", key, a.status, a.body)
			}
		}
		refused := []byte(`"errmsg":"ERROR WHEN CREATING CREDENTIAL FOR CONSUMER."`)
		if _, err := core.Consumers.Decommission(t.Context(), "mobile_device", time.Now()); err != nil {
			t.Fatal(err)
		}
		if a := ask("phone-1"); a.status != http.StatusBadRequest || !bytes.Contains(a.body, refused) {
			t.Errorf("decommissioned: %d %s", a.status, a.body)
		}
		if err := core.Consumers.DeleteConsumer(t.Context(), "mobile_device"); err != nil {
			t.Fatal(err)
		}
		if a := ask("phone-2"); a.status != http.StatusBadRequest || !bytes.Contains(a.body, refused) {
			t.Errorf("without the consumer: %d %s", a.status, a.body)
		}
	})
}

// TestLegacyCredentialIsMadeOnce asks for new credentials from many sides at once.
func TestLegacyCredentialIsMadeOnce(t *testing.T) {
	t.Parallel()
	run(t, load(t, t.TempDir(), unlimited("")), func(ctx context.Context, core *Core) error {
		_, err := core.Consumers.AddConsumer(ctx, consumer.Info{Username: "mobile_device"})
		for i := range 20 {
			begin, got := make(chan struct{}), make(chan secret.Bytes, 16)
			var all sync.WaitGroup
			for range cap(got) {
				all.Go(func() {
					<-begin
					s, err := legacyCredentials{core.Consumers, core.now}.Legacy(ctx, "mobile_device", fmt.Sprint("phone-", i))
					if err != nil {
						t.Error(err)
					}
					got <- s
				})
			}
			close(begin)
			all.Wait()
			for first := <-got; len(got) > 0; {
				if !first.Equal(<-got) {
					t.Fatal("two secrets for one key")
				}
			}
		}
		return err
	})
}

// TestRegistrationNeedsNoStore registers while the store refuses everything.
func TestRegistrationNeedsNoStore(t *testing.T) {
	t.Parallel()
	serve(t, load(t, t.TempDir(), unlimited("")), func(core *Core, base []string) {
		app := hs(t, "mobile_app", appSecret)
		if err := core.store.Close(); err != nil {
			t.Fatal(err)
		}
		for _, set := range []string{"mobile_device", "portal_anonymous"} {
			a := send(t, http.MethodPost, base[1]+"/api/api-manager/v2/consumer/"+set+"/credential/register", app, `{"request":{"key":"phone-1"}}`)
			if a.status != http.StatusOK {
				t.Errorf("%s: %d %s", set, a.status, a.body)
			}
		}
		health := send(t, http.MethodGet, base[1]+"/health", app, "")
		if health.status != http.StatusOK || !bytes.Contains(health.body, []byte(`"healthy":false`)) {
			t.Errorf("health: %d %s", health.status, health.body)
		}
	})
}

func TestRegistrationLimits(t *testing.T) {
	t.Parallel()
	serve(t, load(t, t.TempDir(), "trusted_proxies: [127.0.0.0/8]\n"+fmt.Sprintf(devicesNode, "", "2/h", "3/h")), func(_ *Core, base []string) {
		app, path := hs(t, "mobile_app", appSecret), base[1]+"/api/api-manager/v2/consumer/portal_anonymous/credential/register"
		for i, step := range []struct {
			key, from string
			want      int
		}{
			{"a", "192.0.2.1", 200}, {"a", "192.0.2.2", 200}, {"a", "192.0.2.3", 429}, // the device
			{"b", "192.0.2.9", 200}, {"c", "192.0.2.9", 200}, {"d", "192.0.2.9", 200}, {"e", "192.0.2.9", 429}, // the network
			{"f", "192.0.2.4", 200},
		} {
			a := send(t, http.MethodPost, path, app, `{"request":{"key":"`+step.key+`"}}`, "X-Forwarded-For", step.from)
			if a.status != step.want || (a.header.Get("Retry-After") == "3600") != (step.want == 429) {
				t.Errorf("step %d: %d %v %s, want %d", i, a.status, a.header, a.body, step.want)
			}
		}
	})
}

// keycloakRealm is a realm's key, and what signs with it.
type keycloakRealm struct {
	key    *jose.Key
	issuer string
}

func newRealm(t *testing.T) *keycloakRealm {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	k, err := jose.NewKey(jose.RS256, "realm-key", private)
	if err != nil {
		t.Fatal(err)
	}
	return &keycloakRealm{k, "https://sunbird.example/auth/realms/sunbird"}
}

func (r *keycloakRealm) pem(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(r.key.Public().Crypto())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func (r *keycloakRealm) claims(typ string) []byte {
	now := time.Now().Unix()
	return fmt.Appendf(nil, `{"iss":%q,"aud":%q,"sub":"f:5a8a:u-1","typ":%q,"iat":%d,"exp":%d}`, r.issuer, r.issuer, typ, now-10, now+600)
}

func TestRefreshThroughTheGateway(t *testing.T) {
	t.Parallel()
	realm := newRealm(t)
	jwks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		set, err := jose.NewSet(realm.key.Public())
		if err != nil {
			t.Error(err)
			return
		}
		text, err := set.MarshalJSON()
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(text)
	}))
	t.Cleanup(jwks.Close)
	learner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/user/v1/role/read/u-1" || r.Header.Get("Authorization") != "Bearer learner-token" {
			t.Errorf("asked for %s with %q", r.URL.Path, r.Header.Get("Authorization"))
		}
		fmt.Fprint(w, `{"result":{"name":"Ann","roles":[{"role":"BOOK_CREATOR","scope":[{"organisationId":"o"}]}]}}`)
	}))
	t.Cleanup(learner.Close)
	const realmSecret = "0123456789abcdef0123456789abcdef"
	shared, err := jose.NewSecretKey(jose.HS256, "", []byte(realmSecret))
	if err != nil {
		t.Fatal(err)
	}
	offline, err := realm.key.Sign("JWT", realm.claims("Offline"))
	if err != nil {
		t.Fatal(err)
	}
	refresh, err := shared.Sign("JWT", realm.claims("Refresh"))
	if err != nil {
		t.Fatal(err)
	}
	for name, by := range map[string]string{
		"public key": "kid: realm-key, public_key: " + fmt.Sprintf("%q", realm.pem(t)), "JWKS": "jwks_uri: " + fmt.Sprintf("%q", jwks.URL),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for file, value := range map[string]string{"realm": base64.StdEncoding.EncodeToString([]byte(realmSecret)), "learner": "learner-token"} {
				if err := writePrivate(filepath.Join(dir, "secrets", "default", file), value); err != nil {
					t.Fatal(err)
				}
			}
			c := load(t, dir, unlimited(`refresh: {issuer: "`+realm.issuer+`", `+by+`, key_set: accessv1,
    secret: "srn:vault::default:secret:realm", roles_url: "`+learner.URL+`", roles_token: "srn:vault::default:secret:learner"}`))
			serve(t, c, func(core *Core, base []string) {
				ask := func(token string) (a answer, access string) {
					t.Helper()
					a = send(t, http.MethodPost, base[1]+"/auth/v1/refresh/token", hs(t, "mobile_app", appSecret), "refresh_token="+token,
						"Content-Type", "application/x-www-form-urlencoded")
					var e struct {
						Result struct {
							Access  string `json:"access_token"`
							Refresh string `json:"refresh_token"`
						}
					}
					if err := json.Unmarshal(a.body, &e); err != nil || a.status == http.StatusOK && e.Result.Refresh != token {
						t.Errorf("%v in %s", err, a.body)
					}
					return a, e.Result.Access
				}
				for kind, token := range map[string]string{"offline": offline, "refresh": refresh} {
					a, access := ask(token)
					if a.status != http.StatusOK {
						t.Fatalf("%s: %d %s", kind, a.status, a.body)
					}
					claims := verifiedBy(t, core, "accessv1", access)
					if !strings.Contains(claims, `"roles":[{"role":"BOOK_CREATOR","scope":[{"organisationId":"o"}]},{"role":"PUBLIC","scope":[]}],"name":"Ann"`) {
						t.Errorf("%s: claims are %s", kind, claims)
					}
					if a, _ := ask(access); a.status != http.StatusBadRequest || !bytes.Contains(a.body, []byte(`"invalid_grant"`)) {
						t.Errorf("an access token: %d %s", a.status, a.body)
					}
				}
			})
		})
	}
}

// verifiedBy returns the claims of a token that a set signed.
func verifiedBy(t *testing.T, core *Core, set key.SetName, token string) string {
	t.Helper()
	var u jose.Unverified
	if err := u.Parse(token); err != nil {
		t.Fatal(err)
	}
	for _, k := range core.Keys.Published(set, time.Now()) {
		if k.ID() == u.KeyID && u.Verify(k) == nil {
			return string(u.Payload())
		}
	}
	t.Errorf("no key of %s signed it", set)
	return ""
}

// TestDevicesThatCannotBe says which member of the file is at fault.
func TestDevicesThatCannotBe(t *testing.T) {
	t.Parallel()
	realm := newRealm(t)
	for want, by := range map[string]string{
		"devices.refresh.public_key": `kid: k, public_key: "-----BEGIN PUBLIC KEY-----"`,
		"devices.refresh.jwks_uri":   `jwks_uri: "http://keycloak:8080/certs"`,
		"devices.refresh.secret":     `secret: "srn:vault::default:secret:realm"`,
		"secret:none":                `secret: "srn:vault::default:secret:none"`,
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := writePrivate(filepath.Join(dir, "secrets", "default", "realm"), "no base64 at all"); err != nil {
				t.Fatal(err)
			}
			c := load(t, dir, unlimited(`refresh: {issuer: "`+realm.issuer+`", `+by+`, key_set: accessv1}`))
			run(t, c, func(ctx context.Context, core *Core) error {
				_, err := NewServer(ctx, core, ServeOptions{Reload: func() (*config.Config, error) { return c, nil }})
				if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "base64 at all") {
					t.Errorf("error = %v, want one that names %s", err, want)
				}
				return nil
			})
		})
	}
}

// TestImportedKeys takes over a key before the node first starts.
func TestImportedKeys(t *testing.T) {
	t.Parallel()
	c := load(t, t.TempDir(), unlimited(""))
	old, err := jose.Generate(jose.ES256, "portal_anonymous_key7")
	if err != nil {
		t.Fatal(err)
	}
	core, err := Open(t.Context(), Options{Config: c, Log: slog.New(slog.DiscardHandler), NoFirstKeys: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := core.Run(t.Context(), func(ctx context.Context) error {
		if n := len(core.Keys.List("portal_anonymous")); n != 0 {
			t.Errorf("%d keys were made", n)
		}
		_, err := core.Keys.Import(ctx, "portal_anonymous", key.ImportOptions{}, old)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	token, err := old.Sign("", []byte(`{"iss":"session-of-old","iat":1591600000}`))
	if err != nil {
		t.Fatal(err)
	}
	serve(t, c, func(_ *Core, base []string) {
		if id := identifier(t, base[1], token); id != "session-of-old" {
			t.Errorf("identity %q", id)
		}
	})
	if _, err := os.Stat(filepath.Join(c.Data, "carnet.db")); err != nil {
		t.Error(err)
	}
}
