package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	cfg := oneRoute("internal://echo", Plugins{JWT: &JWT{}, ACL: &ACL{Allow: []string{"contentAccess"}}})
	outcomes := make(chan Outcome, 1) // told after the answer
	var log bytes.Buffer
	_, server := newGateway(t, Options{
		Config: cfg, Internal: map[string]http.Handler{"echo": http.HandlerFunc(echo)},
		Log:     slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Observe: func(o Outcome) { outcomes <- o },
	})
	app := hs(appSecret, "app-key")
	for _, tc := range []struct {
		method, target, token string
		status                int
		message               string
		outcome               Outcome
	}{
		{"GET", "/nowhere", "", 404, "no Route matched with those values", Outcome{Refused: "route", Status: 404}},
		{"GET", "/demo/../x", "", 404, "no Route matched with those values", Outcome{Refused: "route", Status: 404}},
		{"GET", "/demo//x", "", 400, "Bad request: path has an empty segment", Outcome{Refused: "path", Status: 400}},
		{"GET", "/demo%2fx", "", 400, "Bad request: path has a backslash or an encoded slash", Outcome{Refused: "path", Status: 400}},
		{"GET", "x:demo/x", "", 400, "Bad request: path does not start with a slash", Outcome{Refused: "path", Status: 400}},
		{"CONNECT", "/demo", "", 400, "Bad request: tunnels are not offered", Outcome{Refused: "path", Status: 400}},
		{"GET", "/demo", "", 401, "Unauthorized", Outcome{Route: "demo", Refused: "jwt", Status: 401}},
		{"GET", "/demo", app, 403, "You cannot consume this service", Outcome{Route: "demo", Refused: "acl", Status: 403}},
		{"GET", "/demo", deviceToken("mobilev2", nil), 200, "", Outcome{Route: "demo", Status: 200}},
		{"GET", "/nowhere/../%64emo", deviceToken("mobilev2", nil), 200, "", Outcome{Route: "demo", Status: 200}},
	} {
		a := call(t, server, tc.method, tc.target, "Authorization: Bearer "+tc.token)
		if a.status != tc.status || tc.message != "" && a.message(t) != tc.message {
			t.Errorf("%s %s: %d %s, want %d %q", tc.method, tc.target, a.status, a.body, tc.status, tc.message)
		}
		if d := cmp.Diff(tc.outcome, <-outcomes); d != "" {
			t.Errorf("%s %s (-want +got):\n%s", tc.method, tc.target, d)
		}
	}
	server.Close()
	if strings.Contains(log.String(), app[20:]) || !strings.Contains(log.String(), "request refused") {
		t.Errorf("the log has the token or no refusals:\n%s", log.String())
	}
}

// A route's plugin takes the place of its service's, that of the global one.
func TestPluginPrecedence(t *testing.T) {
	t.Parallel()
	realm := func(name string) Plugins { return Plugins{JWT: &JWT{Realm: name}} }
	cfg := Config{Plugins: realm("global"), Services: []Service{
		{Name: "a", URL: "http://h", Routes: []Route{{Name: "a", Paths: []string{"/a"}}}},
		{Name: "b", URL: "http://h", Plugins: realm("service"), Routes: []Route{
			{Name: "b", Paths: []string{"/b"}},
			{Name: "c", Paths: []string{"/c"}, Plugins: realm("route")},
			{Name: "d", Paths: []string{"/d"}, Plugins: Plugins{ACL: &ACL{Deny: []string{"x"}}}},
		}},
	}}
	_, server := newGateway(t, Options{Config: cfg})
	for path, want := range map[string]string{"/a": "global", "/b": "service", "/c": "route", "/d": "service"} {
		a := call(t, server, "GET", path)
		if got := a.header.Get("Www-Authenticate"); a.status != 401 || got != `Bearer realm="`+want+`"` {
			t.Errorf("%s: %d, %s; want the realm %s", path, a.status, got, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	noStore := func(context.Context, string) (secret.Bytes, error) { return secret.Bytes{}, errDown }
	for name, tc := range map[string]struct {
		edit  func(*Options)
		field string
	}{
		"invalid configuration": {func(o *Options) { o.Config.Services[0].URL = "x" }, "services[0].url"},
		"unknown handler":       {func(o *Options) { o.Config.Services[0].URL = "internal://nobody" }, "services[0].url"},
		"no secret store":       {func(o *Options) { o.Config.Consumers[0].JWTSecrets[0].Secret = stated("srn:x") }, "consumers[0].jwt_secrets[0].secret"},
		"secret store down": {func(o *Options) {
			o.Config.Consumers[0].JWTSecrets[0].Secret, o.Secret = stated("srn:x"), noStore
		}, "consumers[0].jwt_secrets[0].secret"},
		"empty secret": {func(o *Options) {
			o.Config.Consumers[0].JWTSecrets[0].Secret = stated("srn:x")
			o.Secret = func(context.Context, string) (secret.Bytes, error) { return secret.Bytes{}, nil }
		}, "consumers[0].jwt_secrets[0].secret"},
		"no key sets":   {func(o *Options) { o.Config = withSet("http://h") }, "consumers[1].jwt_secrets[0].key_set"},
		"key sets down": {func(o *Options) { o.Config, o.KeySet = withSet("http://h"), (&sets{err: errDown}).read }, "consumers[1].jwt_secrets[0].key_set"},
		"key set of rubbish": {func(o *Options) {
			o.Config, o.KeySet = withSet("http://h"), func(string) ([][]byte, error) { return [][]byte{[]byte("{}")}, nil }
		}, "consumers[1].jwt_secrets[0].key_set"},
		"access without issuer": {func(o *Options) { o.Config.Consumers[0].JWTSecrets[0] = JWTSecret{KeySet: "access"} }, "consumers[0].jwt_secrets[0].key"},
		"access of another issuer": {func(o *Options) {
			o.Issuer, o.Config.Consumers[0].JWTSecrets[0] = "https://us", JWTSecret{Key: "https://them", KeySet: "access"}
		}, "consumers[0].jwt_secrets[0].key"},
		"key of the issuer twice": {func(o *Options) {
			o.Issuer, o.KeySet = "app-key", (&sets{}).read
			o.Config.Consumers[1].JWTSecrets[0] = JWTSecret{KeySet: "access"}
		}, "consumers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := Options{Config: oneRoute("http://h", Plugins{})}
			tc.edit(&o)
			_, err := New(t.Context(), o)
			f, ok := errors.AsType[*fault.Error](err)
			if !ok || f.Kind != fault.Invalid || f.Field != tc.field {
				t.Errorf("New() error = %v, want a fault of %s", err, tc.field)
			}
			if ok && strings.Contains(f.Msg, "down") {
				t.Errorf("the cause is shown: %q", f.Msg)
			}
		})
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	cfg := oneRoute(newEcho(t).URL, Plugins{JWT: &JWT{}})
	cfg.Consumers[0].JWTSecrets[0].Secret = stated("srn:x")
	opened := 0
	g, server := newGateway(t, Options{Config: cfg, Cache: carnet.NewCache(1 << 20), Secret: func(_ context.Context, srn string) (secret.Bytes, error) {
		opened++
		return secret.FromString(appSecret), nil
	}})
	status := func(token string) int { return call(t, server, "GET", "/demo?jwt="+token).status }
	app := hs(appSecret, "app-key")
	if s := status(app); s != 200 || opened != 1 {
		t.Fatalf("%d, secret opened %d times", s, opened)
	}

	bad := cfg
	bad.Services = []Service{{Name: "x", URL: "internal://nobody"}}
	if err := g.Reload(t.Context(), bad); err == nil || status(app) != 200 {
		t.Errorf("a bad reload: %v, then %d", err, status(app))
	}

	before := g.cache.Stats()
	generation := g.ring.current.Load().generation
	transport := g.table.Load().services["echo"].transport
	same := cfg
	same.Services = append([]Service{{Name: "more", URL: "http://h", Routes: []Route{{Name: "more", Paths: []string{"/more"}}}}}, cfg.Services...)
	if err := g.Reload(t.Context(), same); err != nil {
		t.Fatal(err)
	}
	if status(app) != 200 || g.cache.Stats().Hits != before.Hits+1 || g.cache.Stats().Misses != before.Misses {
		t.Errorf("the cache went cold: %+v, then %+v", before, g.cache.Stats())
	}
	if g.ring.current.Load().generation != generation || g.table.Load().services["echo"].transport != transport {
		t.Error("what is the same was not taken over")
	}

	without := same
	without.Consumers = cfg.Consumers[1:]
	if err := g.Reload(t.Context(), without); err != nil {
		t.Fatal(err)
	}
	if s := status(app); s != 401 {
		t.Errorf("%d after the credential was removed, want 401", s)
	}

	renamed := same
	renamed.Consumers = testConsumers()
	renamed.Consumers[0].JWTSecrets[0].Key = "new-key"
	if err := g.Reload(t.Context(), renamed); err != nil {
		t.Fatal(err)
	}
	if old, fresh := status(app), status(hs(appSecret, "new-key")); old != 401 || fresh != 200 {
		t.Errorf("old key %d, new key %d", old, fresh)
	}
}

// A consumer that changes is another to the very next request, though its token
// is in the cache.
func TestReloadChangesTheConsumer(t *testing.T) {
	t.Parallel()
	cfg := oneRoute(newEcho(t).URL, Plugins{JWT: &JWT{}, ACL: &ACL{Allow: []string{"staff"}}})
	g, server := newGateway(t, Options{Config: cfg, Cache: carnet.NewCache(1 << 20)})
	target := "/demo?jwt=" + hs(appSecret, "app-key")
	id := call(t, server, "GET", target).seen(t).Header.Get("X-Consumer-Id")
	cfg.Consumers = testConsumers()
	cfg.Consumers[0].CustomID = "app-2"
	if err := g.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	h := call(t, server, "GET", target).seen(t).Header
	if h.Get("X-Consumer-Custom-Id") != "app-2" || h.Get("X-Consumer-Id") != id || id == "" {
		t.Errorf("custom id %q, id %q, before %q", h.Get("X-Consumer-Custom-Id"), h.Get("X-Consumer-Id"), id)
	}
	cfg.Consumers = testConsumers()
	cfg.Consumers[0].Groups = []string{"guest"}
	if err := g.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if a := call(t, server, "GET", target); a.status != 403 {
		t.Errorf("%d after the group was taken away, want 403", a.status)
	}
}

func TestSetsChanged(t *testing.T) {
	t.Parallel()
	s := &sets{}
	k1, k2 := joseKey("RS256", "k1", rsaA()), joseKey("RS256", "k2", rsaB())
	s.put("mobile_device", k1)
	g, server := newGateway(t, Options{Config: withSet(newEcho(t).URL), KeySet: s.read, Cache: carnet.NewCache(1 << 20)})
	old := "/demo?jwt=" + deviceToken(deviceIssuer, object{"kid": "k1"})
	fresh := "/demo?jwt=" + sign("RS256", rsaB(), object{"alg": "RS256", "kid": "k2"}, object{"iss": deviceIssuer})
	expect := func(when string, wantOld, wantFresh int) {
		t.Helper()
		if o, f := call(t, server, "GET", old).status, call(t, server, "GET", fresh).status; o != wantOld || f != wantFresh {
			t.Errorf("%s: old %d, new %d; want %d, %d", when, o, f, wantOld, wantFresh)
		}
	}
	change := func(keys ...*jose.Key) {
		t.Helper()
		s.put("mobile_device", keys...)
		if err := g.SetsChanged(); err != nil {
			t.Fatal(err)
		}
	}
	expect("first", 200, 401)
	change(k2, k1)
	expect("overlap", 200, 200)
	generation := g.ring.current.Load().generation
	change(k2, k1)
	if g.ring.current.Load().generation != generation {
		t.Error("nothing changed, but the generation did")
	}
	change(k2)
	expect("retired", 401, 200)
	s.err = errDown
	if err := g.SetsChanged(); !errors.Is(err, errDown) {
		t.Errorf("SetsChanged() = %v, want %v", err, errDown)
	}
	expect("sets cannot be read", 401, 200)
	s.err = nil
	change()
	expect("no key left", 401, 401)
}

// Reloads and changes of keys under traffic: every answer is one that some
// configuration in force gives. Run with -race.
func TestReloadUnderTraffic(t *testing.T) {
	t.Parallel()
	s := &sets{}
	s.put("mobile_device", joseKey("RS256", "k1", rsaA()))
	a := withSet("internal://echo")
	b := withSet("internal://echo")
	b.Consumers = b.Consumers[1:]
	b.Services[0].Routes = append(b.Services[0].Routes, Route{Name: "open", Paths: []string{"/open"}})
	g, err := New(t.Context(), Options{
		Config: a, KeySet: s.read, Cache: carnet.NewCache(1 << 20), Clock: func() time.Time { return now },
		Internal: map[string]http.Handler{"echo": http.HandlerFunc(echo)},
	})
	if err != nil {
		t.Fatal(err)
	}
	app, dev := hs(appSecret, "app-key"), deviceToken(deviceIssuer, object{"kid": "k1"})
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				for token, allowed := range map[string]string{app: "200 401", dev: "200", "": "401"} {
					w := httptest.NewRecorder()
					r := httptest.NewRequestWithContext(t.Context(), "GET", "/demo?jwt="+token, nil)
					g.ServeHTTP(w, r)
					if !strings.Contains(allowed, fmt.Sprint(w.Code)) {
						t.Errorf("%d %s, want one of %s", w.Code, w.Body, allowed)
						return
					}
				}
			}
		})
	}
	for i := range 60 {
		cfg := a
		if i%2 == 0 {
			cfg = b
		}
		if i%3 == 0 {
			s.put("mobile_device", joseKey("RS256", "k1", rsaA()), joseKey("ES256", fmt.Sprint("e", i), es256()))
			if err := g.SetsChanged(); err != nil {
				t.Error(err)
			}
		}
		if err := g.Reload(t.Context(), cfg); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	wg.Wait()
}

// No bytes from a client make a 5xx, but for the two that net/http answers itself
// before a handler sees anything: 501 for a transfer coding that it does not know
// (RFC 9112 §6.1) and 505 for a version that it does not speak.
func FuzzServeHTTP(f *testing.F) {
	good := hs(appSecret, "app-key")
	for _, s := range []string{
		"GET /demo?jwt=" + good + " HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /demo HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer MQ.e30.AA\r\n\r\n",
		"GET /demo HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + encode(object{"alg": "HS256"}) + "." + encode(object{"iss": 1}) + ".AA\r\n\r\n",
		"POST /open HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\nX-Consumer-Id: x\r\n\r\n",
		"POST /open HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc",
		"GET /open HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
		"GET /open HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		"GET http://x/%2e%2e/open HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET x:demo/x HTTP/1.1\r\nHost: h\r\n\r\n",
		"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET //open HTTP/1.0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	cfg := oneRoute(newEcho(f).URL, Plugins{JWT: &JWT{ClaimsToVerify: []string{"exp"}, CookieNames: []string{"c"}}, ACL: &ACL{Allow: []string{"staff"}}})
	cfg.Services[0].Routes = append(cfg.Services[0].Routes, Route{Name: "open", Paths: []string{"/"}, PreserveHost: true})
	_, server := newGateway(f, Options{Config: cfg, Cache: carnet.NewCache(1 << 20)})
	f.Fuzz(func(t *testing.T, request []byte) {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		_, _ = c.Write(request)
		_ = c.(*net.TCPConn).CloseWrite()
		for r := bufio.NewReader(c); ; {
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				return
			}
			if res.StatusCode >= 500 && res.StatusCode != 501 && res.StatusCode != 505 {
				body, _ := io.ReadAll(res.Body)
				t.Fatalf("%q: %d %s", request, res.StatusCode, body)
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode == 101 {
				return
			}
		}
	})
}
