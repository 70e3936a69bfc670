package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const routeWithHeaders = `
gateway:
  services:
  - name: s
    url: http://h
    routes:
    - name: r
      headers:
        X-Version: [beta, "1"]
        "x: odd": ["~*^v"]
`

func TestMapsOfLists(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "carnet.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Replace(routeWithHeaders, `"x: odd"`, "x-odd", 1))
	c, err := Load(Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"X-Version": {"beta", "1"}, "x-odd": {"~*^v"}}
	if d := cmp.Diff(want, c.Gateway.Services[0].Routes[0].Headers); d != "" {
		t.Errorf("headers (-want +got):\n%s", d)
	}
	var out strings.Builder
	if err := c.Print(&out, false); err != nil {
		t.Fatal(err)
	}
	write(out.String())
	again, err := Load(Options{Path: path})
	if err != nil {
		t.Fatalf("what was printed cannot be read: %v\n%s", err, out.String())
	}
	if d := cmp.Diff(want, again.Gateway.Services[0].Routes[0].Headers); d != "" {
		t.Errorf("headers printed and read again (-want +got):\n%s", d)
	}
	for text, wrong := range map[string]string{
		routeWithHeaders: `gateway.services[0].routes[0].headers.x: odd: write the name of a header`,
		strings.Replace(routeWithHeaders, `[beta, "1"]`, "beta", 1):                        "headers.X-Version: must be a list",
		strings.Replace(routeWithHeaders, `[beta, "1"]`, "[1]", 1):                         "headers.X-Version[0]: must be a string",
		strings.Replace(routeWithHeaders, `"x: odd"`, "X-Version", 1):                      "headers.X-Version: is already set in line 9",
		routeWithHeaders + "  verify_path: /verify\n":                                      "gateway.verify_path: needs trusted_proxies",
		routeWithHeaders + "  verify_path: /verify/\n":                                     "gateway.verify_path: \"/verify/\" must be a path in normal form",
		routeWithHeaders + "  upstreams: [{name: a, targets: [{target: b}], weight: 1}]\n": `unknown key`,
	} {
		write(text)
		if _, err := Load(Options{Path: path}); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("Load() = %v, want %q for\n%s", err, wrong, text)
		}
	}
}
