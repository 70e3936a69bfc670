package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const routeWithClaims = `
gateway:
  consumers:
  - username: tenant
    jwt_secrets:
    - {key: "https://issuer.example", discovery: true}
  services:
  - name: s
    url: http://h
    routes:
    - name: r
      paths: [/]
      plugins:
        jwt:
          required_claims: {tenant: [a, "7"], email: [], "https://x/role": []}
          claim_headers: {sub: X-User, "https://x/role": X-Role}
`

// A claim that may have any value is still one that is asked for when the configuration
// was printed and read again.
func TestClaimsOfRoutes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "carnet.yaml")
	load := func(text string) *Config {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Options{Path: path})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		j := c.Gateway.Services[0].Routes[0].Plugins.JWT
		required := map[string][]string{"tenant": {"a", "7"}, "email": {}, "https://x/role": {}}
		if d := cmp.Diff(required, j.RequiredClaims); d != "" {
			t.Errorf("required_claims (-want +got):\n%s", d)
		}
		if d := cmp.Diff(map[string]string{"sub": "X-User", "https://x/role": "X-Role"}, j.ClaimHeaders); d != "" {
			t.Errorf("claim_headers (-want +got):\n%s", d)
		}
		if !c.Gateway.Consumers[0].JWTSecrets[0].Discovery {
			t.Error("discovery did not arrive")
		}
		return c
	}
	var out strings.Builder
	if err := load(routeWithClaims).Print(&out, false); err != nil {
		t.Fatal(err)
	}
	load(out.String())
}
