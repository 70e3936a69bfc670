package secretstore

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
)

// clock is a time that moves when it is told to: sockets do not live in synctest.
type clock struct{ now atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Unix(0, c.now.Load()) }
func (c *clock) advance(d time.Duration) { c.now.Add(int64(d)) }

// toVault is a resolver that asks v alone, with the token root unless edit says
// otherwise. Its own secrets are files in the returned directory.
func toVault(t *testing.T, v *fakeVault, edit func(*VaultConfig)) (*Resolver, *clock, string) {
	t.Helper()
	dir, c := t.TempDir(), &clock{}
	c.advance(time.Hour)
	place(t, dir, "token", "root\n")
	place(t, dir, "id", "s3cret-id\n")
	config := VaultConfig{
		Address: v.URL + "/", Namespace: v.namespace, Mount: "secret", Path: "carnet",
		Login: LoginToken, Secret: "srn:vault::acme:secret:token",
	}
	if edit != nil {
		edit(&config)
	}
	return newResolver(t, Config{
		Organization: "acme", Providers: []string{Vault}, Vault: &config, Dir: dir, Clock: c.Now, Log: slog.New(slog.DiscardHandler),
	}), c, dir
}

func appRole(c *VaultConfig) {
	c.Login, c.Role, c.Secret = LoginAppRole, "carnet", "srn:vault::acme:secret:id"
}

func TestVaultReads(t *testing.T) {
	t.Parallel()
	v := newFakeVault(t)
	certificate, private := newCertificate(t)
	v.put("key", map[string]any{"value": "one"})
	v.put("key", map[string]any{"value": "two\n"})
	v.put("login", map[string]any{"user": "ann", "n": 9007199254740993, "html": "<&>"})
	v.put("client", map[string]any{"certificate": certificate, "key": private})
	v.put("half", map[string]any{"certificate": certificate})
	v.put("number", map[string]any{"value": 5})
	v.put("gone", map[string]any{"value": "s3cret"})
	v.put("gone", nil)
	r, _, _ := toVault(t, v, nil)
	for ref, want := range map[string]string{
		"srn:vault::acme:secret:key":            "two",
		"srn:vault::acme:secret:KEY":            "two",
		"srn:vault::acme:secret:key/1":          "one",
		"srn:vault::acme:secret:key/3":          "!is not in Vault as secret/carnet/acme/key",
		"srn:vault::acme:secretdoc:login#/user": "ann",
		"srn:vault::acme:secretdoc:login#/n":    "9007199254740993",
		"srn:vault::acme:secretdoc:login#/html": "<&>",
		"srn:vault::acme:secretdoc:key":         `{"value":"two\n"}`,
		"srn:vault::acme:certificate:client":    strings.TrimSpace(certificate + "\n" + private),
		"srn:vault::acme:certificate:half":      `!must have the string "key" in Vault`,
		"srn:vault::acme:secret:login":          `!must have the string "value" in Vault`,
		"srn:vault::acme:secret:number":         `!must have the string "value" in Vault`,
		"srn:vault::acme:secret:nosuch":         "!is not in Vault as secret/carnet/acme/nosuch",
		"srn:vault::acme:secret:gone":           "!is not in Vault as secret/carnet/acme/gone",
		"srn:vault::acme:secret:gone/1":         "s3cret",
		"srn:vault::acme:secret:a$b":            "!is not in Vault as secret/carnet/acme/a$b",
	} {
		got := resolve(t, r, ref)
		part, refused := strings.CutPrefix(want, "!")
		if refused && (!strings.Contains(got, part) || strings.Contains(got, "s3cret")) || !refused && got != want {
			t.Errorf("%s: %q, want %q", ref, got, want)
		}
	}
	if got, err := r.Find(t.Context(), "srn:vault::acme:secret:key"); err != nil || got.Version != "2" || got.Provider != Vault {
		t.Errorf("Find() = %+v, %v", got, err)
	}
}

func TestVaultLogins(t *testing.T) {
	t.Parallel()
	jwt := filepath.Join(t.TempDir(), "jwt")
	if err := os.WriteFile(jwt, []byte("s3cret-jwt\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		namespace string
		edit      func(*VaultConfig)
		calls     []string // before the read
		bad       string   // a part of the error
	}{
		"token":           {"", nil, []string{"GET auth/token/lookup-self"}, ""},
		"namespace":       {"bank/web", nil, []string{"GET auth/token/lookup-self"}, ""},
		"approle":         {"", appRole, []string{"POST auth/approle/login"}, ""},
		"another mount":   {"", func(c *VaultConfig) { appRole(c); c.LoginMount = "other/role" }, []string{"POST auth/other/role/login"}, ""},
		"kubernetes":      {"", func(c *VaultConfig) { c.Login, c.Role, c.JWT = LoginKubernetes, "carnet", jwt }, []string{"POST auth/kubernetes/login"}, ""},
		"bad token":       {"", func(c *VaultConfig) { c.Secret = "srn:vault::acme:secret:id" }, []string{"GET auth/token/lookup-self"}, "Vault refuses the token: status 403: permission denied"},
		"no token":        {"", func(c *VaultConfig) { c.Secret = "srn:vault::acme:secret:nosuch" }, nil, "no secret to show: srn:vault::acme:secret:nosuch is neither in the environment"},
		"other role":      {"", func(c *VaultConfig) { appRole(c); c.Role = "x" }, []string{"POST auth/approle/login"}, "Vault refuses the login: status 400: invalid role"},
		"other namespace": {"bank", func(c *VaultConfig) { c.Namespace = "web" }, []string{"GET auth/token/lookup-self"}, "permission denied"},
		"no JWT":          {"", func(c *VaultConfig) { c.Login, c.JWT = LoginKubernetes, jwt+"x" }, nil, "secrets.vault.jwt cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newFakeVault(t)
			v.namespace = tc.namespace
			v.put("key", map[string]any{"value": "found"})
			r, _, _ := toVault(t, v, tc.edit)
			got := resolve(t, r, key)
			calls := tc.calls
			if tc.bad == "" {
				calls = append(slices.Clone(calls), "GET secret/data/carnet/acme/key")
			}
			if tc.bad == "" && got != "found" || !strings.Contains(got, tc.bad) || strings.Contains(got, "s3cret-") {
				t.Errorf("%q, want %q", got, tc.bad)
			}
			if diff := cmp.Diff(calls, v.take()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

// A token that ends meanwhile costs one login and no value.
func TestVaultLogsInAgain(t *testing.T) {
	t.Parallel()
	v := newFakeVault(t)
	v.put("key", map[string]any{"value": "one"})
	r, c, _ := toVault(t, v, appRole)
	if got := resolve(t, r, key); got != "one" {
		t.Fatal(got)
	}
	v.edit(func() { v.tokens = map[string]int{} })
	v.put("key", map[string]any{"value": "two"})
	c.advance(2 * TTL)
	v.take()
	if got := resolve(t, r, key); got != "two" {
		t.Error(got)
	}
	const read = "GET secret/data/carnet/acme/key"
	if diff := cmp.Diff([]string{read, "POST auth/approle/login", read}, v.take()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	v.edit(func() { v.policy = func(string, string) bool { return false } })
	c.advance(2 * TTL)
	if got := resolve(t, r, key); got != "two" {
		t.Errorf("%q, want the last value for a while", got)
	}
	if diff := cmp.Diff([]string{read, "POST auth/approle/login", read}, v.take()); diff != "" {
		t.Errorf("calls without permission (-want +got):\n%s", diff)
	}
	c.advance(MaxStale)
	if got := resolve(t, r, key); !strings.Contains(got, "Vault does not give secret/data/carnet/acme/key: status 403: 1 error occurred") {
		t.Errorf("%q, want a refusal", got)
	}
}

func TestVaultDeleted(t *testing.T) {
	t.Parallel()
	v := newFakeVault(t)
	v.put("key", map[string]any{"value": "one"})
	r, c, _ := toVault(t, v, nil)
	if got := resolve(t, r, key); got != "one" {
		t.Fatal(got)
	}
	v.put("key", nil)
	c.advance(2 * TTL)
	if _, err := r.Find(t.Context(), key); fault.KindOf(err) != fault.NotFound {
		t.Errorf("Find() error = %v, want it to be gone at once", err)
	}
}

func TestVaultFails(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"sealed":             {503, `{"errors":["Vault is sealed"]}`, "status 503: Vault is sealed"},
		"overloaded":         {429, `{"errors":["request path kv/data: rate limit quota exceeded"]}`, "rate limit quota exceeded"},
		"standby":            {473, "", "status 473"},
		"broken":             {500, "<html>", "status 500"},
		"redirect":           {307, "", "must be that of the active one"},
		"not understood":     {400, `{"errors":[]}`, "status 400"},
		"no such mount":      {404, `{"errors":["no handler for route"]}`, "no handler for route"},
		"long complaint":     {500, `{"errors":["` + strings.Repeat("ö", 5000) + `"]}`, "status 500: öö"},
		"not JSON":           {200, "<html>", "cannot be understood"},
		"endless":            {200, strings.Repeat(" ", maxAnswer+1), "more than 1048576 bytes"},
		"empty answer":       {200, "", "cannot be understood"},
		"a proxy's 404":      {404, "<html>no such page</html>", "status 404"},
		"wrapped":            {200, `{"data":null,"wrap_info":{"token":"hvs.canary","ttl":60}}`, "has no version"},
		"no data":            {200, `{}`, "has no version"},
		"answer of no shape": {200, `{"data":{"data":["x"]}}`, "cannot be understood"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newFakeVault(t)
			v.put("key", map[string]any{"value": "v"})
			v.put("other", map[string]any{"value": "v"})
			r, c, _ := toVault(t, v, nil)
			if got := resolve(t, r, key); got != "v" {
				t.Fatal(got)
			}
			v.edit(func() { v.fail, v.body = tc.status, tc.body })
			_, err := r.Find(t.Context(), "srn:vault::acme:secret:other")
			if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), tc.want) || len(err.Error()) > 400 {
				t.Errorf("Find() error = %v, want one with %q", err, tc.want)
			}
			c.advance(2 * TTL)
			if got := resolve(t, r, key); got != "v" {
				t.Errorf("%q, want the last value", got)
			}
			v.edit(func() { v.fail = 0 })
			v.put("key", map[string]any{"value": "w"})
			c.advance(retry)
			if got := resolve(t, r, key); got != "w" {
				t.Errorf("%q when it is well again", got)
			}
		})
	}
}

func TestVaultDoesNotAnswer(t *testing.T) {
	t.Parallel()
	v := newFakeVault(t)
	v.Close()
	r, _, _ := toVault(t, v, nil)
	if _, err := r.Find(t.Context(), key); fault.KindOf(err) != fault.Unavailable || strings.Contains(err.Error(), "root") {
		t.Errorf("Find() error = %v", err)
	}
}

// A redirect must not carry the token to where it leads.
func TestVaultRedirect(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	t.Cleanup(elsewhere.Close)
	v := newFakeVault(t)
	v.Config.Handler = http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect)
	r, _, _ := toVault(t, v, nil)
	if _, err := r.Find(t.Context(), key); err == nil || reached.Load() {
		t.Errorf("Find() error = %v, followed: %v", err, reached.Load())
	}
}

func TestVaultRenewsItsToken(t *testing.T) {
	t.Parallel()
	v := newFakeVault(t)
	v.put("key", map[string]any{"value": "v"})
	v.edit(func() { v.tokens["short"] = 90 })
	r, c, dir := toVault(t, v, nil)
	place(t, dir, "token", "short")
	read := func(advance time.Duration, want ...string) {
		t.Helper()
		c.advance(advance)
		r.Expire()
		v.take()
		if got := resolve(t, r, key); got != "v" {
			t.Fatal(got)
		}
		if diff := cmp.Diff(append(want, "GET secret/data/carnet/acme/key"), v.take()); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
	}
	read(0, "GET auth/token/lookup-self")
	read(59*time.Second, []string{}...)
	read(time.Second, "POST auth/token/renew-self")
	read(59*time.Second, []string{}...)
	read(time.Second, "POST auth/token/renew-self")
	place(t, dir, "token", "root") // what is refused is read anew from where it is configured
	v.edit(func() { delete(v.tokens, "short") })
	read(time.Minute, "POST auth/token/renew-self", "GET auth/token/lookup-self")
	read(1000*time.Hour, []string{}...) // root has no end
}

// A lease of a login is followed by another login, before it ends.
func TestVaultLoginHasALease(t *testing.T) {
	t.Parallel()
	v := newFakeVault(t)
	v.put("key", map[string]any{"value": "v"})
	r, c, _ := toVault(t, v, appRole)
	for i, want := range []int{1, 1, 2, 2} {
		if got := resolve(t, r, key); got != "v" {
			t.Fatal(got)
		}
		v.edit(func() {
			if v.made != want {
				t.Errorf("after %d × 20 minutes: %d logins, want %d", i, v.made, want)
			}
		})
		c.advance(20*time.Minute + 1)
	}
}

// Many secrets at once are one login.
func TestVaultOneLogin(t *testing.T) {
	t.Parallel()
	v := newFakeVault(t)
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	for _, n := range names {
		v.put(n, map[string]any{"value": n})
	}
	r, _, _ := toVault(t, v, appRole)
	for range 3 {
		var wg sync.WaitGroup
		for _, n := range names {
			wg.Go(func() {
				if got := resolve(t, r, "srn:vault::acme:secret:"+n); got != n {
					t.Errorf("%s: %q", n, got)
				}
			})
		}
		wg.Wait()
		v.edit(func() { v.tokens = map[string]int{} })
		r.Expire()
	}
	v.edit(func() {
		if v.made != 3 {
			t.Errorf("%d logins, want one in the beginning and two for tokens that were lost", v.made)
		}
	})
}

func TestVaultOverTLS(t *testing.T) {
	t.Parallel()
	certificate, private := newCertificate(t)
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(private))
	if err != nil {
		t.Fatal(err)
	}
	v := newFakeVault(t)
	v.put("key", map[string]any{"value": "v"})
	secure := httptest.NewUnstartedServer(v)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	ca, junk := filepath.Join(t.TempDir(), "ca.pem"), filepath.Join(t.TempDir(), "junk")
	if err := errors.Join(os.WriteFile(ca, []byte(certificate), 0o600), os.WriteFile(junk, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	address := strings.Replace(secure.URL, "127.0.0.1", "localhost", 1)
	r, _, _ := toVault(t, v, func(c *VaultConfig) { c.Address, c.CA = address, ca })
	if got := resolve(t, r, key); got != "v" {
		t.Error(got)
	}
	r, _, _ = toVault(t, v, func(c *VaultConfig) { c.Address = address })
	if got := resolve(t, r, key); !strings.Contains(got, "Vault does not answer") {
		t.Errorf("%q, want an authority that is not known to be refused", got)
	}
	for _, file := range []string{junk, junk + "x"} {
		_, err := New(Config{Organization: "acme", Providers: []string{Vault}, Vault: &VaultConfig{CA: file}})
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "secrets.vault.ca") {
			t.Errorf("New() = %v, want the CA file refused", err)
		}
	}
}

func TestProvidersThatAreNotConfigured(t *testing.T) {
	t.Parallel()
	for _, name := range []string{Vault, Builtin, "x"} {
		if _, err := New(Config{Organization: "acme", Providers: []string{Env, name}}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("New() with %s = %v, want it refused", name, err)
		}
	}
}

// Nothing of a Vault's secrets or of what opens it is ever logged.
func TestVaultLogsNoSecret(t *testing.T) {
	t.Parallel()
	v := newFakeVault(t)
	v.put("key", map[string]any{"value": "s3cret"})
	var logged bytes.Buffer
	r, c, _ := toVault(t, v, appRole)
	r.log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	got, err := r.Find(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	r.log.Info("found", "secret", got)
	v.edit(func() { v.fail, v.body = 503, `{"errors":["sealed"]}` })
	c.advance(2 * TTL)
	if got := resolve(t, r, key); got != "s3cret" {
		t.Fatal(got)
	}
	if text := logged.String(); !strings.Contains(text, "sealed") || strings.Contains(text, "s3cret") || strings.Contains(text, "made-1") {
		t.Errorf("logged %q", text)
	}
}
