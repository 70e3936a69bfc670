package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestSecretPrintsOnlyNames(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"":                                     "",
		"hunter2":                              "[redacted]",
		"srn:vault::default:secret:mobile-app": "srn:vault::default:secret:mobile-app",
	} {
		s := stated(value)
		var j, y string
		if err := json.Unmarshal(must(json.Marshal(s)), &j); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(must(yaml.Marshal(s)), &y); err != nil {
			t.Fatal(err)
		}
		if text := string(must(s.MarshalText())); text != want || j != want || y != want {
			t.Errorf("%q is printed as %q, %q in JSON, %q in YAML; want %q", value, text, j, y, want)
		}
		if out := fmt.Sprintf("%v %+v %#v %s", s, s, s, s); strings.Contains(out, "hunter2") {
			t.Errorf("fmt shows the value: %s", out)
		}
		if name := s.SRN(); strings.HasPrefix(value, "srn:") != (name == value && value != "") {
			t.Errorf("SRN() of %q = %q", value, name)
		}
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Size{
		"0B": 0, "1B": 1, "1000B": 1000, "3KiB": 3 << 10, "64MiB": 64 << 20, "2GiB": 2 << 30, "1025KiB": 1025 << 10,
	} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("UnmarshalText(%q) = %d, %v; want %d", text, s, err, want)
		}
		if got := string(must(want.MarshalText())); got != text {
			t.Errorf("MarshalText(%d) = %q, want %q", want, got, text)
		}
	}
	for text, want := range map[string]Size{"17": 17, "64 MiB": 64 << 20} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("UnmarshalText(%q) = %d, %v; want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5MiB", "64MB", "9999999999GiB", "0x10", "1e3"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("UnmarshalText(%q) = %d, want an error", text, s)
		}
	}
}

func TestConfigFromYAML(t *testing.T) {
	t.Parallel()
	var c Config
	err := yaml.UnmarshalWithOptions([]byte(`
cache: 64MiB
consumers:
- username: app
  groups: [g]
  jwt_secrets:
  - {key: k, secret: "srn:vault::default:secret:mobile-app"}
  - {key: l, secret: literal}
  - {key_set: access}
services:
- name: s
  url: http://localhost:1
  connect_timeout: 5s
  routes:
  - name: r
    paths: [/x]
    strip_path: false
    plugins: {jwt: {issuer_prefixes: [], deny_bare_prefix: false, header_names: []}, acl: {allow: [g]}}
  - name: open
    paths: [/]
    plugins: {jwt: {}}
`), &c, yaml.Strict())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	j := c.Services[0].Routes[0].Plugins.JWT
	switch {
	case c.Cache != 64<<20:
		t.Errorf("cache = %d", c.Cache)
	case c.Consumers[0].JWTSecrets[0].Secret.SRN() != "srn:vault::default:secret:mobile-app":
		t.Error("the SRN did not arrive")
	case c.Consumers[0].JWTSecrets[1].Secret.Len() != len("literal"):
		t.Error("the literal did not arrive")
	case *c.Services[0].Routes[0].StripPath, *j.DenyBarePrefix:
		t.Error("a false did not arrive")
	case len(newPlaces(j).headers) != 0 || len(newPlaces(j).query) != 1:
		t.Error("an empty list is not the default")
	case c.Services[0].Routes[1].Plugins.JWT == nil:
		t.Error("jwt: {} is no plugin")
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	p := newPlaces(&JWT{})
	if fmt.Sprint(p) != "{[jwt] [] [Authorization] false}" {
		t.Errorf("defaults are %v", p)
	}
	s := newJWTStage(&JWT{}, nil, nil, nil)
	if s.dialect.id() != (dialectID{claim: "iss"}) || !s.preflight || s.anonymous != nil || s.profile != &kong3 || s.scrub != nil || s.told != nil {
		t.Errorf("defaults are %+v", s)
	}
	if d := s.demands; d.exp || d.nbf || d.ahead != 0 || d.leeway != 0 || d.audience != nil || d.required != nil {
		t.Errorf("defaults demand %+v", d)
	}
}
