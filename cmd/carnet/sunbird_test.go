package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

const (
	realm           = "https://keycloak.example.com/auth/realms/sunbird"
	sunbirdRegister = "/api-manager/v2/consumer/mobile_device/credential/register"
)

// sunbirdYAML is all that an installation of Sunbird writes down itself: the rest comes
// from its scripts, by the Admin API.
const sunbirdYAML = `
admin: {kong_version: "0.14", authentication: "off", show_secrets: true}
keys:
  mobile_device: {algorithms: [RS256], active: 2, kid_prefix: mobile_devicev2_key, rotation: 0s, verification: forever}
  accessv1: {algorithms: [RS256], kid_prefix: accessv1_key, rotation: 0s}
devices:
  sets: [{name: mobile_device, form: shipped}]
  refresh: {issuer: ` + realm + `, secret: "srn:vault::default:secret:keycloak", key_set: accessv1}
gateway:
  plugins: {jwt: {kid_lookup: true, status_profile: sunbird}}
`

// apis are the script's, with the address of adminutil changed to Carnet's own.
func sunbirdAPIs(content string) []map[string]any {
	api := func(name, uris, upstream string, strip bool, group string, hour int) map[string]any {
		return map[string]any{
			"name": name, "uris": uris, "upstream_url": upstream, "strip_uri": strip,
			"plugins": []map[string]any{
				{"name": "jwt"},
				{"name": "acl", "config.whitelist": []string{group}},
				{"name": "rate-limiting", "config.policy": "local", "config.hour": hour, "config.limit_by": "credential"},
				{"name": "request-size-limiting", "config.allowed_payload_size": 1},
			},
		}
	}
	return []map[string]any{
		api("registerMobileDeviceV2", sunbirdRegister, "internal://device", false, "mobileAdmin", 5000),
		api("refreshToken", "/auth/v1/refresh/token", "internal://device", false, "refreshTokenCreate", 100),
		api("readContent", "/content/v1/read", content+"/v3/read", true, "contentAccess", 3),
	}
}

// onboard replays the calls of kong_apis.py, kong_consumers.py and onboard-keys.yml for
// an empty gateway. It returns the credential of the app.
func (n *node) onboard(content string) (key, secret string) {
	n.t.Helper()
	for _, api := range sunbirdAPIs(content) {
		plugins, _ := api["plugins"].([]map[string]any)
		delete(api, "plugins")
		n.must(201, "POST", n.admin+"/apis", text(api))
		for _, p := range plugins {
			n.must(201, "POST", n.admin+"/apis/"+api["name"].(string)+"/plugins", text(p)) //nolint:forcetypeassert // a panic fails the test as well
		}
	}
	for consumer, groups := range map[string][]string{
		"mobile_app":      {"mobileAdmin"},
		"mobile_devicev2": {"contentAccess", "refreshTokenCreate"},
	} {
		n.must(404, "GET", n.admin+"/consumers/"+consumer, nil)
		n.must(201, "POST", n.admin+"/consumers", text(map[string]any{"username": consumer}))
		for _, g := range groups {
			n.must(201, "POST", n.admin+"/consumers/"+consumer+"/acls", text(map[string]any{"group": g}))
		}
	}
	made := n.must(201, "POST", n.admin+"/consumers/mobile_app/jwt", text(map[string]any{"algorithm": "HS256", "key": "mobile_app"}))
	for kid, public := range n.publicPEMs("mobile_device") {
		n.uploadKey("mobile_devicev2", kid, public)
	}
	return made.str("key"), made.str("secret")
}

// publicPEMs are the public keys of a set, as adminutil's mounted files would be.
func (n *node) publicPEMs(set string) map[string][]byte {
	n.t.Helper()
	keys, err := jose.ParseSet([]byte(n.must(200, "GET", n.public+"/keysets/"+set+"/jwks.json", nil).text))
	if err != nil {
		n.t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, k := range keys.Keys() {
		der, err := x509.MarshalPKIXPublicKey(k.Crypto())
		if err != nil {
			n.t.Fatal(err)
		}
		out[k.ID()] = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	return out
}

// uploadKey is curl -F key=… -F algorithm=RS256 -F rsa_public_key=@file.
func (n *node) uploadKey(consumer, kid string, public []byte) {
	n.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	_ = form.WriteField("key", kid)
	_ = form.WriteField("algorithm", "RS256")
	file, err := form.CreateFormFile("rsa_public_key", kid+".pem")
	if err != nil {
		n.t.Fatal(err)
	}
	_, _ = file.Write(public)
	_ = form.Close()
	resp, err := http.Post(n.admin+"/consumers/"+consumer+"/jwt", form.FormDataContentType(), &body)
	if err != nil {
		n.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		n.t.Fatalf("key %s is answered %d", kid, resp.StatusCode)
	}
}

func text(v any) string {
	b, _ := json.Marshal(v) // of maps, lists, texts and numbers
	return string(b)
}

// hs256 signs claims as a phone does, which has no library of ours.
func hs256(secret []byte, header, claims map[string]any) string {
	header["alg"] = "HS256"
	b64 := base64.RawURLEncoding
	input := b64.EncodeToString([]byte(text(header))) + "." + b64.EncodeToString([]byte(text(claims)))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + b64.EncodeToString(mac.Sum(nil))
}

// TestSunbird takes an empty node through an installation of Sunbird: its scripts
// onboard, then a phone registers, calls, is limited, refreshes and is taken back.
func TestSunbird(t *testing.T) {
	t.Parallel()
	keycloak := []byte("keycloak-shared-secret-of-32-bytes!")
	n := newNode(t)
	n.file(sunbirdYAML)
	n.secret("keycloak", base64.StdEncoding.EncodeToString(keycloak))
	content := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"path":%q,"consumer":%q}`, r.URL.Path, r.Header.Get("X-Consumer-Username"))
	}))
	defer content.Close()
	n.serve()

	key, secret := n.onboard(content.URL)
	app := hs256([]byte(secret), map[string]any{"typ": "JWT"}, map[string]any{"iss": key})
	phone := func(device string) string {
		r := n.must(200, "POST", n.gateway+sunbirdRegister, `{"id":"ekstep.genie.device.register","ver":"1.0","request":{"key":"`+device+`"}}`,
			"Authorization", bearer(app), "Content-Encoding", "gzip") // says so, and sends it plain
		result, _ := r.body["result"].(map[string]any)
		token, _ := result["token"].(string)
		return token
	}
	// read calls the API as device does, and returns the status.
	read := func(token string) int {
		r, err := n.do("GET", n.gateway+"/content/v1/read/do_1", nil, "Authorization", bearer(token))
		if err != nil {
			t.Fatal(err)
		}
		if r.status == http.StatusOK && r.text != `{"path":"/v3/read/do_1","consumer":"mobile_devicev2"}` {
			t.Errorf("the upstream has seen %s", r.text)
		}
		return r.status
	}

	n.must(401, "POST", n.gateway+sunbirdRegister, `{"request":{"key":"x"}}`)
	one, two := phone("dev.sunbird.app-one"), phone("dev.sunbird.app-two")
	n.must(403, "POST", n.gateway+sunbirdRegister, `{"request":{"key":"x"}}`, "Authorization", bearer(one)) // a device may not register
	if left := time.Until(time.Now().Truncate(time.Hour).Add(time.Hour)); left < 30*time.Second {
		<-time.After(left) // the next hour has a count of its own
	}
	for i, want := range []int{200, 200, 200, 429} {
		if got := read(one); got != want {
			t.Errorf("call %d of an hour with 3 is answered %d, want %d", i+1, got, want)
		}
	}
	if again := phone("dev.sunbird.app-one"); read(again) != 429 {
		t.Error("registering again begins a fresh count")
	}
	if read(two) != 200 {
		t.Error("another phone is limited with the first")
	}

	now := time.Now()
	offline := hs256(keycloak, map[string]any{"typ": "JWT", "kid": "k"}, map[string]any{
		"iss": realm, "typ": "Offline", "aud": realm, "sub": "f:1:ann", "iat": now.Add(-time.Hour).Unix(), "exp": 0,
	})
	r := n.must(200, "POST", n.gateway+"/auth/v1/refresh/token", url.Values{"refresh_token": {offline}}, "Authorization", bearer(two))
	result, _ := r.body["result"].(map[string]any)
	access, _ := result["access_token"].(string)
	if claims := n.claimsOf(access); claims["sub"] != "f:1:ann" || claims["typ"] != "Bearer" || result["refresh_token"] != offline {
		t.Errorf("refreshed to %s", r.text)
	}

	n.revoke("issuer", "dev.sunbird.app-two", "--reason", "lost")
	n.wait("refused", func() bool { return read(two) == http.StatusUnauthorized })
	if fresh := phone("dev.sunbird.app-three"); read(fresh) != 200 {
		t.Error("a phone that was not taken back is refused")
	}
	n.carnet("consumers", "decommission", "mobile_app", "--grace", "0s")
	n.wait("decommissioned", func() bool {
		r, err := n.do("POST", n.gateway+sunbirdRegister, `{"request":{"key":"x"}}`, "Authorization", bearer(app))
		return err == nil && r.status == http.StatusForbidden // as Kong 0.14 has it for a credential that is not there
	})
}

// file writes the node's configuration.
func (n *node) file(yaml string) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.data, "carnet.yaml"), []byte(strings.TrimPrefix(yaml, "\n")), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// secret puts a secret where the node looks for files.
func (n *node) secret(name, value string) {
	n.t.Helper()
	dir := filepath.Join(n.data, "secrets", "default")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
		n.t.Fatal(err)
	}
}
