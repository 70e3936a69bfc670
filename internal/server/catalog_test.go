package server

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/config"
)

// kongClient asks the Admin API of a node.
type kongClient struct {
	t            *testing.T
	base, secret string
}

func newKongClient(t *testing.T, core *Core, base string) kongClient {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(core.Config.Data, "admin.secret"))
	if err != nil {
		t.Fatal(err)
	}
	return kongClient{t, base, strings.TrimSpace(string(text))}
}

func (o kongClient) must(status int, method, path string, body map[string]any) map[string]any {
	o.t.Helper()
	got, doc, text := exchange(o.t, method, o.base+path, o.secret, body)
	if got != status {
		o.t.Fatalf("%s %s is answered %d, want %d: %s", method, path, got, status, text)
	}
	return doc
}

// exchange sends JSON and reads JSON.
func exchange(t *testing.T, method, target, token string, body map[string]any) (status int, doc map[string]any, text string) {
	t.Helper()
	var sent io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		sent = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, target, sent)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(data, &doc)
	return res.StatusCode, doc, string(data)
}

const onboardingConfig = `
keys:
  mobile_device: {algorithms: [ES256], issuer_prefix: mobilev2, rotation: 0s, verification: forever}
devices: {sets: [mobile_device]}
admin: {kong_version: "0.14", show_secrets: true}
gateway:
  consumers:
  - {username: mobile_device, groups: [device], jwt_secrets: [{key: mobilev2, key_set: mobile_device}]}
`

// TestOnboarding brings a platform up with the calls of its old scripts: then an app
// registers a device, the device calls, is counted by itself, and is revoked.
func TestOnboarding(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const register = "/api/api-manager/v2/consumer/mobile_device/credential/register"
	var appToken string
	serve(t, load(t, dir, onboardingConfig), func(core *Core, base []string) {
		gateway, o := base[1], newKongClient(t, core, base[2])
		if status, _, _ := exchange(t, "GET", o.base+"/apis", "", nil); status != http.StatusUnauthorized {
			t.Errorf("without the secret: %d, want 401", status)
		}
		o.must(201, "POST", "/apis", map[string]any{"name": "register", "uris": register, "strip_uri": false, "upstream_url": "internal://device"})
		o.must(201, "POST", "/apis/register/plugins", map[string]any{"name": "jwt"})
		o.must(201, "POST", "/apis/register/plugins", map[string]any{"name": "acl", "config.whitelist": []string{"mobileAdmin"}})
		o.must(201, "POST", "/apis", map[string]any{"name": "content", "uris": "/content", "upstream_url": "internal://echo"})
		o.must(201, "POST", "/apis/content/plugins", map[string]any{"name": "jwt", "config.issuer_prefixes": []string{"mobilev2"}})
		o.must(201, "POST", "/apis/content/plugins", map[string]any{"name": "acl", "config.whitelist": []string{"device"}})
		o.must(201, "POST", "/apis/content/plugins", map[string]any{"name": "rate-limiting", "config.hour": 2, "config.limit_by": "credential", "config.policy": "local"})
		o.must(201, "POST", "/consumers", map[string]any{"username": "mobile_app"})
		o.must(201, "POST", "/consumers/mobile_app/acls", map[string]any{"group": "mobileAdmin"})
		app := o.must(201, "POST", "/consumers/mobile_app/jwt", map[string]any{"algorithm": "HS256"})
		key, _ := app["key"].(string)
		value, _ := app["secret"].(string)
		appToken = legacyToken(t, key, value)

		device := func(name string) string {
			status, doc, text := exchange(t, "POST", gateway+register, appToken, map[string]any{"request": map[string]any{"key": name}})
			result, _ := doc["result"].(map[string]any)
			token, _ := result["token"].(string)
			if status != 200 || token == "" {
				t.Fatalf("registration is answered %d: %s", status, text)
			}
			return token
		}
		one, two := device("phone-1"), device("phone-2")
		for i, want := range []int{200, 200, 429} {
			if got := get(t, gateway+"/content/x", one); got != want {
				t.Errorf("call %d is answered %d, want %d", i+1, got, want)
			}
		}
		if got := get(t, gateway+"/content/x", two); got != 200 {
			t.Errorf("another device is answered %d, want 200", got)
		}
		if got := get(t, gateway+"/content/x", appToken); got != 403 {
			t.Errorf("the app's own token is answered %d, want 403", got)
		}
		if got := get(t, gateway+register, one); got != 403 {
			t.Errorf("a device that registers is answered %d, want 403", got)
		}
		o.must(201, "POST", "/carnet/v1/revocations", map[string]any{"kind": "device", "issuer": "mobilev2", "name": "phone-2"})
		if got := get(t, gateway+"/content/x", two); got != 401 && got != 403 {
			t.Errorf("a revoked device is answered %d, want a refusal", got)
		}
	})
	// It is all there after a restart.
	serve(t, load(t, dir, onboardingConfig), func(_ *Core, base []string) {
		if status, _, text := exchange(t, "POST", base[1]+register, appToken, map[string]any{"request": map[string]any{"key": "phone-3"}}); status != 200 {
			t.Errorf("after a restart, registration is answered %d: %s", status, text)
		}
	})
}

// TestOthersChangeTheCatalog changes it as the command line does, beside the node.
func TestOthersChangeTheCatalog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(extra string) *config.Config {
		return load(t, dir, "gateway:\n  services: [{name: echo, url: 'internal://echo', routes: [{name: all, paths: [/file]}]}]\n"+extra)
	}
	serve(t, file(""), func(core *Core, base []string) {
		o := newKongClient(t, core, base[2])
		o.must(201, "POST", "/services/echo/routes", map[string]any{"name": "more", "paths": []string{"/more"}})
		if got := get(t, base[1]+"/more", ""); got != 200 {
			t.Errorf("/more is answered %d", got)
		}
	})
	// Two nodes on one store: what one is told, the other does within its poll interval.
	serve(t, file(""), func(core *Core, base []string) {
		serve(t, file(""), func(_ *Core, second []string) {
			o := newKongClient(t, core, base[2])
			o.must(200, "PATCH", "/routes/more", map[string]any{"paths": []string{"/other"}})
			end := time.Now().Add(10 * time.Second)
			for get(t, second[1]+"/other", "") != 200 {
				if time.Now().After(end) {
					t.Fatal("the other node does not follow")
				}
			}
		})
	})
}
