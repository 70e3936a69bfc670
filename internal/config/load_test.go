package config

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/limit"
)

var update = flag.Bool("update", false, "write golden files")

// golden compares got with a file, or writes it with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// compare looks at what a configuration says, not at who said it.
var compare = cmp.Options{
	cmpopts.IgnoreUnexported(Config{}),
	cmpopts.EquateComparable(netip.Prefix{}),
	cmp.Comparer(func(a, b gateway.Secret) bool { return a.Equal(b.Bytes) }),
}

func mustLoad(t *testing.T, yaml string, o Options) *Config {
	t.Helper()
	o.Path = "carnet.yaml"
	c, err := load([]byte(yaml), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLoadWithoutAnythingGivesDefaults(t *testing.T) {
	t.Parallel()
	c, err := Load(Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Issuer, want.Audience = "http://127.0.0.1:8080", "http://127.0.0.1:8080"
	want.Store = "sqlite://data/carnet.db"
	want.Secrets.Dir = "data/secrets"
	want.MasterKeys = MasterKeys{Signing: "file:data/signing.key", Data: "file:data/data.key"}
	if diff := cmp.Diff(want, c, compare); diff != "" {
		t.Errorf("Load() (-want +got):\n%s", diff)
	}
	for name, yaml := range map[string]string{"empty": "", "comment": "# nothing\n", "start": "---\n", "empty members": "log:\ngateway:\n  services:\ndata:\n"} {
		if diff := cmp.Diff(want, mustLoad(t, yaml, Options{}), compare); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

const whole = `
organization: acme
data: /var/lib/carnet
doors: [admit]
issuer: https://id.example
audience: https://api.example
listen: {public: ":443", gateway: "0.0.0.0:8443", admin: "[::1]:9000"}
tls: {cert: tls/tls.crt, key: /etc/tls.key}
require_https: true
trusted_proxies: [10.0.0.0/8, "fd00::/8"]
shutdown_grace: 1m30s
log: {level: debug, format: json}
store: sqlite://db/x.db
poll_interval: 500ms
secrets: {dir: /run/secrets}
master_keys: {signing: "srn:vault::acme:secret:signing", data: "env:DATA_KEY"}
keys:
  access: {rotation: 720h}
  mobile_device: {algorithms: [RS256], kid_prefix: mobilev2_key, issuer_prefix: mobilev2, rotation: 0s, publish_ahead: 10m, verification: forever}
tokens: {access_ttl: 5m, refresh_ttl: 24h, sts_ttl: 1m}
limits: {sts_per_ip: 1/s, sts_per_app: none}
devices: {sets: [mobile_device]}
gateway:
  cache: 1GiB
  plugins: {acl: {deny: [banned]}}
  consumers:
  - username: mobile_app
    groups: [mobileAdmin]
    jwt_secrets:
    - {key: app, algorithm: HS256, secret: "hunter2 hunter2 hunter2 hunter2"}
    - {key: app2, secret: "srn:vault::acme:secret:app"}
    - {key: mobilev2, key_set: mobile_device}
    - {key_set: access}
  services:
  - name: demo
    url: internal://echo
    connect_timeout: 2s
    routes:
    - name: demo
      paths: [/demo]
      strip_path: false
      plugins:
        jwt: {issuer_prefixes: [mobilev2], claims_to_verify: [exp], maximum_expiration: 60}
        acl: {allow: [mobileAdmin]}
`

func TestLoadReadsEveryMember(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, whole, Options{Handlers: map[string]string{"echo": "", "device": Issue}})
	if c.Data != "/var/lib/carnet" || c.Store != "sqlite:///var/lib/carnet/db/x.db" || c.TLS != (TLS{"/var/lib/carnet/tls/tls.crt", "/etc/tls.key"}) {
		t.Errorf("paths: %q %q %+v", c.Data, c.Store, c.TLS)
	}
	if c.MasterKeys != (MasterKeys{"srn:vault::acme:secret:signing", "env:DATA_KEY"}) {
		t.Errorf("master keys: %+v", c.MasterKeys)
	}
	want := map[string]*KeySet{
		"access": {Algorithms: []jose.Algorithm{"ES256", "RS256"}, Active: 1, RSABits: 2048, Rotation: Duration(720 * time.Hour), PublishAhead: Duration(10 * time.Minute), Verification: Duration(24 * time.Hour)},
		"sts":    defaultKeySet("ES256", "RS256"),
		"mobile_device": {
			Algorithms: []jose.Algorithm{"RS256"}, KidPrefix: "mobilev2_key", IssuerPrefix: "mobilev2", Active: 1, RSABits: 2048,
			PublishAhead: Duration(10 * time.Minute), Verification: Forever,
		},
	}
	got := map[string]*KeySet{}
	for name, s := range c.Keys {
		got[string(name)] = s
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("key sets (-want +got):\n%s", diff)
	}
	if c.Limits.STSPerIP != (limit.Rate{N: 1, Per: time.Second}) || c.Limits.STSPerApp != (limit.Rate{}) || c.Limits.LoginPerIP.N != 20 {
		t.Errorf("limits: %+v", c.Limits)
	}
	route := c.Gateway.Services[0].Routes[0]
	if c.Gateway.Cache != 1<<30 || *route.StripPath || route.Plugins.JWT.MaximumExpiration != 60 || c.Gateway.Services[0].ConnectTimeout != 2*time.Second {
		t.Errorf("gateway: %+v", c.Gateway)
	}
	if got := string(c.Gateway.Consumers[0].JWTSecrets[0].Secret.Reveal()); got != "hunter2 hunter2 hunter2 hunter2" {
		t.Errorf("secret = %q", got)
	}
}

func TestLoadPrecedence(t *testing.T) {
	t.Parallel()
	const yaml = "data: file\nlog: {level: warn}\nkeys: {mobile-device: {rotation: 1h}}\n"
	c := mustLoad(t, yaml, Options{
		Environ: []string{
			"CARNET_DATA=env", "CARNET_LISTEN_GATEWAY=127.0.0.1:9", "CARNET_DOORS=issue, admit", "CARNET_TRUSTED_PROXIES=10.0.0.0/8,fd00::/8",
			"CARNET_REQUIRE_HTTPS=true", "CARNET_LIMITS_STS_PER_IP=1/h", "CARNET_GATEWAY_CACHE=1KiB", "CARNET_KEYS_ACCESS_ROTATION=2h",
			"CARNET_KEYS_MOBILE_DEVICE_ROTATION=3h", "CARNET_DEVICES_SETS=",
			"CARNET_SECRET_DEFAULT__X=1", "CARNET_CONFIG=x", "CARNET_PORT_8080_TCP=tcp://10.0.0.1:8080", "CARNET_SERVICE_HOST=10.0.0.1", "HOME=/",
		},
		Flags: map[string]string{"data": "flag"},
	})
	if c.Data != "flag" || c.Log.Level != "warn" || c.Listen.Gateway != "127.0.0.1:9" || !c.RequireHTTPS || len(c.TrustedProxies) != 2 ||
		c.Limits.STSPerIP.Per != time.Hour || c.Gateway.Cache != 1024 || c.Keys["access"].Rotation != Duration(2*time.Hour) ||
		c.Keys["mobile-device"].Rotation != Duration(3*time.Hour) || len(c.Devices.Sets) != 0 || c.Store != "sqlite://flag/carnet.db" {
		t.Errorf("Load() = %+v", c)
	}
}

func TestLoadDerives(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ yaml, issuer string }{
		"plain":       {`listen: {public: "10.0.0.1:80"}`, "http://10.0.0.1:80"},
		"TLS":         {"listen: {public: 'id.example:443'}\ntls: {cert: a, key: b}", "https://id.example:443"},
		"every IPv4":  {`listen: {public: "0.0.0.0:80"}`, "http://localhost:80"},
		"every IPv6":  {`listen: {public: "[::]:80"}`, "http://localhost:80"},
		"no host":     {`listen: {public: ":80"}`, "http://localhost:80"},
		"IPv6":        {`listen: {public: "[::1]:80"}`, "http://[::1]:80"},
		"said itself": {`issuer: https://id.example/a`, "https://id.example/a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c := mustLoad(t, tc.yaml, Options{}); c.Issuer != tc.issuer || c.Audience != tc.issuer {
				t.Errorf("issuer %q, audience %q, want %q", c.Issuer, c.Audience, tc.issuer)
			}
		})
	}
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/errors/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = load(data, Options{Path: "carnet.yaml", Handlers: map[string]string{"echo": "", "device": Issue}})
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("load() error = %v, want an invalid configuration", err)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "12345") {
				t.Errorf("a secret is shown:\n%v", err)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", err.Error()+"\n")
		})
	}
}

func TestLoadEnvironmentErrors(t *testing.T) {
	t.Parallel()
	_, err := load([]byte("log: {level: info}\nlisten: {public: '1:1'}"), Options{
		Path: "carnet.yaml",
		Environ: []string{
			"CARNET_LISTEN_GATWAY=x", "CARNET_LOG_LEVEL=loud", "CARNET_LISTEN_PUBLIC=8080", "CARNET_LIMITS_STS_PER_IP=60",
			"CARNET_TRUSTED_PROXIES=10.0.0.0/8,x", "CARNET_PASSWROD=hunter2",
		},
		Flags: map[string]string{"data": "", "dta": "x"},
	})
	const want = `--data: data: must name a directory
--dta: unknown key; did you mean "data"?
CARNET_LIMITS_STS_PER_IP: limits.sts_per_ip: must be a rate such as 60/m (a count in each s, m or h), or none
CARNET_LISTEN_GATWAY: unknown variable; did you mean "CARNET_LISTEN_GATEWAY"?
CARNET_LISTEN_PUBLIC: listen.public: must be host:port, such as 127.0.0.1:8080
CARNET_LOG_LEVEL: log.level: must be debug, info, warn or error
CARNET_PASSWROD: unknown variable; did you mean "CARNET_PASSWORD"?
CARNET_TRUSTED_PROXIES: trusted_proxies: each of the list, separated by commas, must be a network such as 10.0.0.0/8`
	if err == nil {
		t.Fatal("load() error = nil")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("load() error (-want +got):\n%s", diff)
	}
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.Source != "--data" {
		t.Errorf("first problem = %+v, want that of --data", p)
	}
}

func TestLoadLeavesTheVariablesOfMasterKeysAlone(t *testing.T) {
	t.Parallel()
	const file = "master_keys: {signing: env:CARNET_SIGNING_KEY, data: 'file:data.key'}"
	for name, tc := range map[string]struct {
		environ []string
		want    string // in the error; empty: none
	}{
		"named by the file":     {[]string{"CARNET_SIGNING_KEY=x"}, ""},
		"named by a variable":   {[]string{"CARNET_SIGNING_KEY=x", "CARNET_DATA_KEY=x", "CARNET_MASTER_KEYS_DATA=env:CARNET_DATA_KEY"}, ""},
		"named by nothing":      {[]string{"CARNET_DATA_KEY=x"}, "CARNET_DATA_KEY: unknown variable"},
		"named by it no longer": {[]string{"CARNET_SIGNING_KEY=x", "CARNET_MASTER_KEYS_SIGNING=stdin"}, "CARNET_SIGNING_KEY: unknown variable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load([]byte(file), Options{Path: "carnet.yaml", Environ: tc.environ})
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want)) {
				t.Errorf("load() error = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestLoadFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, big := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "big.yaml")
	if err := errors.Join(
		os.WriteFile(good, []byte("data: x\n"), 0o600),
		os.WriteFile(big, []byte("#"+strings.Repeat("x", maxFile)), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(Options{Path: good}); err != nil || c.Data != "x" {
		t.Errorf("Load() = %v, %v", c, err)
	}
	for path, want := range map[string]fault.Kind{filepath.Join(dir, "none.yaml"): fault.NotFound, big: fault.Invalid, dir: fault.Invalid} {
		if _, err := Load(Options{Path: path}); fault.KindOf(err) != want {
			t.Errorf("Load(%s) error = %v, want kind %v", filepath.Base(path), err, want)
		}
	}
}

// Load never panics, and what it accepts is what Print prints, apart from secrets.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(whole))
	files, err := filepath.Glob("testdata/errors/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := load(data, Options{Path: "carnet.yaml"})
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("load() error = %v, want an invalid configuration", err)
			}
			return
		}
		roundTrip(t, c)
	})
}
