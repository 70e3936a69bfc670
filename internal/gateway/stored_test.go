package gateway

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/consumer"
)

func TestStoredCredentials(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	d.put(storedSecret("legacy-device", "s", "stored"))
	d.put(storedKey("desktop", publicPEM(rsaB()), "desktops"))
	d.put(storedSecret("symmetric", "s", "stored"))
	d.put(storedSecret("app-key", "s", "thief")) // the configuration's wins
	orphan := storedSecret("orphan", "s", "")
	orphan.Consumer = nil
	d.put(orphan)
	cfg := oneRoute("", Plugins{JWT: &JWT{IssuerPrefixes: []string{"desktop", "mobilev2", "symmetric", "nobody"}}})
	ask := inProcess(t, cfg, cached(Options{Registry: d}))
	rs := func(iss string) string { return sign("RS256", rsaB(), object{"alg": "RS256"}, object{"iss": iss}) }
	const unknown = "No credentials found for given 'iss'"
	for name, tc := range map[string]struct{ token, username, identity, refusal string }{
		"a legacy device":        {hs("s", "legacy-device"), "stored", "legacy-device", ""},
		"a prefix":               {rs("desktop-a-1591600000000"), "desktops", "desktop-a-1591600000000", ""},
		"one of the file":        {hs(appSecret, "app-key"), "app", "app-key", ""},
		"hidden by the file":     {hs("s", "app-key"), "", "", "Invalid signature"},
		"a symmetric prefix":     {hs("s", "symmetric-a-1591600000000"), "", "", unknown},
		"a prefix of nobody":     {rs("nobody-a-1591600000000"), "", "", unknown},
		"nobody":                 {hs("s", "nobody"), "", "", unknown},
		"wrong secret":           {hs("x", "legacy-device"), "", "", "Invalid signature"},
		"a consumer that's gone": {hs("s", "orphan"), "", "", "Could not find consumer for 'iss=orphan'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 2 {
				a := ask("/demo?jwt=" + tc.token)
				if tc.refusal != "" {
					if a.status != 401 || a.message(t) != tc.refusal {
						t.Errorf("%d %s, want 401 %q", a.status, a.body, tc.refusal)
					}
					if tc.username == "" && strings.HasPrefix(tc.refusal, "Could") != (a.header["Www-Authenticate"] == nil) {
						t.Errorf("WWW-Authenticate %q", a.header["Www-Authenticate"])
					}
					continue
				}
				h := a.seen(t).Header
				if h.Get("X-Consumer-Username") != tc.username || h.Get("X-Credential-Identifier") != tc.identity {
					t.Errorf("upstream got %v", h)
				}
			}
		})
	}
}

// While the store is down, who is known goes on; of others nothing can be said.
func TestStoreDown(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	d.put(storedSecret("known", "s", "stored"))
	d.put(storedSecret("unknown", "s", "stored"))
	cfg := oneRoute("", Plugins{JWT: &JWT{Anonymous: "app"}})
	cfg.Services[0].Routes = append(cfg.Services[0].Routes, Route{
		Name: "guests", Paths: []string{"/guests"}, Plugins: Plugins{JWT: &JWT{Anonymous: "of-the-store"}},
	})
	d.consumers["of-the-store"] = consumer.New("of-the-store", "", nil)
	ask := inProcess(t, cfg, cached(Options{Registry: d}))
	ask("/demo?jwt=" + hs("s", "known")).seen(t)
	if h := ask("/guests").seen(t).Header; h.Get("X-Anonymous-Consumer") != "true" || h.Get("X-Consumer-Username") != "of-the-store" {
		t.Errorf("upstream got %v", h)
	}
	d.fail(true)
	ask("/demo?jwt=" + hs("s", "known")).seen(t)
	ask("/demo?jwt=" + hs(appSecret, "app-key")).seen(t)
	if h := ask("/demo").seen(t).Header; h.Get("X-Anonymous-Consumer") != "true" {
		t.Errorf("upstream got %v", h)
	}
	for _, target := range []string{"/demo?jwt=" + hs("s", "unknown"), "/guests"} { // not as anonymous
		a := ask(target)
		if a.status != 503 || a.header.Get("Retry-After") != "1" || a.header["Www-Authenticate"] != nil || a.message(t) != "Credentials cannot be looked up right now" {
			t.Errorf("%s: %d %s, %v", target, a.status, a.body, a.header)
		}
	}
	d.fail(false)
	ask("/demo?jwt=" + hs("s", "unknown")).seen(t)
}

// Nobody's tokens outlive the change of a credential.
func TestStoredCredentialChanges(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	d.put(storedSecret("k", "s", "first"))
	ask := inProcess(t, oneRoute("", Plugins{JWT: &JWT{}}), cached(Options{Registry: d}))
	target := "/demo?jwt=" + hs("s", "k")
	who := func() string { return ask(target).seen(t).Header.Get("X-Consumer-Username") }
	if got := who(); got != "first" {
		t.Fatalf("consumer %q", got)
	}
	d.put(storedSecret("k", "s", "second"))
	d.generation.Add(1)
	if got := who(); got != "second" {
		t.Errorf("consumer %q after the credential moved", got)
	}
	d.put(storedSecret("k", "another", "second"))
	d.generation.Add(1)
	if a := ask(target); a.status != 401 {
		t.Errorf("%d after the secret changed", a.status)
	}
	d.put(storedSecret("k", "s", "second")) // one that is added needs no generation
	if got := who(); got != "second" {
		t.Errorf("consumer %q", got)
	}
}

func TestAnonymousOfNobody(t *testing.T) {
	t.Parallel()
	cfg := oneRoute("http://h", Plugins{JWT: &JWT{Anonymous: "nobody"}})
	if _, err := New(t.Context(), Options{Config: cfg}); err == nil || !strings.Contains(err.Error(), `there is no consumer "nobody"`) {
		t.Errorf("New() = %v", err)
	}
	cfg.Services[0].Routes[0].Plugins.JWT = &JWT{IssuerPrefixes: []string{"nobody"}}
	if _, err := New(t.Context(), Options{Config: cfg}); err == nil || !strings.Contains(err.Error(), `no consumer has a credential with the key "nobody"`) {
		t.Errorf("New() = %v", err)
	}
	cfg.Services[0].Routes[0].Plugins.JWT = &JWT{IssuerPrefixes: []string{"nobody", "symmetric"}, Anonymous: "nobody"}
	cfg.Plugins.JWT = cfg.Services[0].Routes[0].Plugins.JWT
	d := newDirectory()
	d.put(storedSecret("symmetric", "s", "stored"))
	var log bytes.Buffer
	_, server := newGateway(t, Options{Config: cfg, Registry: d, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, want := range []string{
		`msg="no credential for issuer prefix" name=nobody`, "it verifies no device\" name=symmetric", "anonymous callers get 500\" name=nobody",
	} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("the log does not say %s once:\n%s", want, &log)
		}
	}
	a := call(t, server, "GET", "/demo")
	if a.status != 500 || a.message(t) != "anonymous consumer nobody is configured but doesn't exist" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestOrphans: acl never sees a credential without a consumer.
func TestOrphans(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	orphan := storedSecret("orphan", "s", "")
	orphan.Consumer = nil
	d.put(orphan)
	for profile, status := range map[string]int{"kong3": 401, "sunbird": 403} {
		cfg := oneRoute("", Plugins{JWT: &JWT{StatusProfile: profile}, ACL: &ACL{Deny: []string{"x"}}})
		a := inProcess(t, cfg, Options{Registry: d})("/demo?jwt=" + hs("s", "orphan"))
		if a.status != status || a.message(t) != "Could not find consumer for 'iss=orphan'" {
			t.Errorf("%s: %d %s", profile, a.status, a.body)
		}
	}
}
