package gateway

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/httpx"
)

// beside is a gateway that others ask, with a route for each kind of answer.
func beside(t testing.TB, trusted []netip.Prefix) *httptest.Server {
	t.Helper()
	one := 1
	cfg := oneRoute(refusing(t), Plugins{JWT: &JWT{ClaimHeaders: map[string]string{"tier": "X-Tier"}}, ACL: &ACL{Allow: []string{"staff"}}})
	cfg.VerifyPath = "/verify"
	cfg.Services[0].Routes = append(
		cfg.Services[0].Routes,
		Route{Name: "open", Hosts: []string{"open.example"}, Methods: []string{"PUT"}, Plugins: Plugins{
			CORS:                &CORS{Origins: []string{"https://a.example"}},
			RequestSizeLimiting: &RequestSizeLimiting{AllowedPayloadSize: 1, SizeUnit: "bytes", RequireContentLength: true},
		}},
		Route{Name: "once", Paths: []string{"/once"}, Plugins: Plugins{RateLimiting: &RateLimiting{Hour: &one, LimitBy: "ip"}}},
		Route{Name: "tls", Paths: []string{"/tls"}, Protocols: []string{"https"}},
		Route{Name: "preflight", Paths: []string{"/preflight"}, Plugins: Plugins{CORS: &CORS{}, JWT: &JWT{}}},
	)
	_, server := newGateway(t, Options{Config: cfg, Trusts: httpx.Trusts(trusted), ClientAddr: httpx.ClientAddr(trusted)})
	return server
}

// what nginx and Traefik add to a question.
func original3(method, host, uri string) []string {
	return []string{"X-Original-Method: " + method, "X-Original-Host: " + host, "X-Original-URI: " + uri}
}

func forwarded3(method, host, uri string) []string {
	return []string{"X-Forwarded-Method: " + method, "X-Forwarded-Host: " + host, "X-Forwarded-Uri: " + uri}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	server := beside(t, here)
	app := "Authorization: Bearer " + hs(appSecret, "app-key")
	devices := "Authorization: Bearer " + deviceToken("mobilev2", nil)
	for name, tc := range map[string]struct {
		method, target string
		lines          []string
		status         int
		message        string
	}{
		"nginx":                   {"GET", "/verify", append(original3("GET", "h", "/demo/x"), app), 200, ""},
		"nginx, token in query":   {"GET", "/verify", original3("GET", "h", "/demo?jwt="+hs(appSecret, "app-key")), 200, ""},
		"ingress-nginx":           {"GET", "/verify", []string{"X-Original-Method: GET", "X-Original-URL: https://h:8443/demo?a=b", app}, 200, ""},
		"Traefik":                 {"GET", "/verify", append(forwarded3("GET", "h", "/demo/x?y"), app), 200, ""},
		"Envoy":                   {"GET", "/verify/demo/x?jwt=" + hs(appSecret, "app-key"), nil, 200, ""},
		"Envoy, header":           {"GET", "/verify/demo", []string{app}, 200, ""},
		"Envoy, by host":          {"PUT", "/verify/x", []string{"Host: open.example"}, 200, ""},
		"by host and method":      {"GET", "/verify", original3("PUT", "Open.example:81", "/x"), 200, ""},
		"no token":                {"GET", "/verify", original3("GET", "h", "/demo"), 401, "Unauthorized"},
		"wrong group":             {"GET", "/verify", append(original3("GET", "h", "/demo"), devices), 403, "You cannot consume this service"},
		"another method":          {"PUT", "/verify", append(original3("GET", "open.example", "/x"), app), 404, "no Route matched with those values"},
		"no route":                {"GET", "/verify", forwarded3("GET", "h", "/x"), 404, "no Route matched with those values"},
		"ambiguous path":          {"GET", "/verify", original3("GET", "h", "/open//demo"), 400, "Bad request: path has an empty segment"},
		"dot segments":            {"GET", "/verify", append(original3("GET", "h", "/open/../demo"), app), 200, ""},
		"Envoy, encoded slash":    {"GET", "/verify/demo%2fx", nil, 400, "Bad request: path has a backslash or an encoded slash"},
		"Envoy, two slashes":      {"GET", "/verify//h/demo", []string{app}, 400, "Bad request: path has an empty segment"},
		"plain HTTP":              {"GET", "/verify", original3("GET", "h", "/tls"), 426, "Please use HTTPS protocol"},
		"over TLS":                {"GET", "/verify", append(original3("GET", "h", "/tls"), "X-Forwarded-Proto: https"), 200, ""},
		"preflight is for others": {"GET", "/verify", append(original3("OPTIONS", "h", "/preflight"), "Origin: https://a", "Access-Control-Request-Method: GET"), 401, "Unauthorized"},
		"tunnel":                  {"GET", "/verify", original3("CONNECT", "h", "/demo"), 400, "Bad request: tunnels are not offered"},
		"nothing asked":           {"GET", "/verify", []string{app}, 400, "Bad request: no header says what is asked about"},
		"two families":            {"GET", "/verify", append(append(original3("GET", "h", "/demo"), forwarded3("GET", "h", "/x")...), app), 400, "Bad request: both X-Original- and X-Forwarded- headers say what is asked about"},
		"no method":               {"GET", "/verify", append(original3("GET", "h", "/demo")[1:], app), 400, "Bad request: X-Original-Method must be set, once"},
		"no host":                 {"GET", "/verify", append(forwarded3("GET", "", "/demo"), app), 400, "Bad request: X-Forwarded-Host must be set, once"},
		"host twice":              {"GET", "/verify", append(original3("GET", "h", "/demo"), "X-Original-Host: open.example", app), 400, "Bad request: X-Original-Host must be set, once"},
		"path twice":              {"GET", "/verify", append(forwarded3("GET", "h", "/demo"), "X-Forwarded-Uri: /x", app), 400, "Bad request: X-Forwarded-Uri must be set, once"},
		"no path":                 {"GET", "/verify", append(original3("GET", "h", "demo"), app), 400, "Bad request: what is asked about is no method and path"},
		"no method at all":        {"GET", "/verify", append(original3("G T", "h", "/demo"), app), 400, "Bad request: what is asked about is no method and path"},
		"URL without host":        {"GET", "/verify", []string{"X-Original-Method: GET", "X-Original-URL: /demo", app}, 400, "Bad request: X-Original-Url must be a URL, without X-Original-Uri beside it"},
		"URL and URI":             {"GET", "/verify", append(original3("GET", "h", "/demo"), "X-Original-URL: http://h/x", app), 400, "Bad request: X-Original-Url must be a URL, without X-Original-Uri beside it"},
		"beside the path":         {"GET", "/verifyx", append(original3("GET", "h", "/demo"), app), 404, "no Route matched with those values"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := call(t, server, tc.method, tc.target, tc.lines...)
			if a.status != tc.status || tc.message != "" && a.message(t) != tc.message || tc.status == 200 && a.body != "" {
				t.Errorf("%d %s, want %d %q", a.status, a.body, tc.status, tc.message)
			}
			if got := a.header.Get("Www-Authenticate"); (got != "") != (tc.status == 401) {
				t.Errorf("%d with WWW-Authenticate %q", a.status, got)
			}
		})
	}
}

// The answer says of the caller what an upstream would be told, and says each of it
// even if that is nothing.
func TestVerifySaysWhoAsks(t *testing.T) {
	t.Parallel()
	server := beside(t, here)
	told := func(a answer) map[string][]string {
		out := map[string][]string{}
		for _, n := range append([]string{"X-Tier"}, identityNames...) {
			out[n] = a.header.Values(n)
		}
		return out
	}
	spoof := []string{"X-Consumer-ID: evil", "X-Consumer-Groups: evil", "X-Anonymous-Consumer: evil", "X-Tier: evil"}
	a := call(t, server, "GET", "/verify", append(append(original3("GET", "h", "/demo"), spoof...), "Authorization: Bearer "+hs(appSecret, "app-key", object{"tier": "gold"}))...)
	id := a.header.Get("X-Consumer-ID")
	want := map[string][]string{
		"X-Consumer-ID": {id}, "X-Consumer-Custom-ID": {"app-1"}, "X-Consumer-Username": {"app"}, "X-Consumer-Groups": {"mobileAdmin, staff"},
		"X-Credential-Identifier": {"app-key"}, "X-Anonymous-Consumer": {""}, "X-Tier": {"gold"},
	}
	if d := cmp.Diff(want, told(a)); d != "" || len(id) != 36 {
		t.Errorf("id %q (-want +got):\n%s", id, d)
	}
	a = call(t, server, "GET", "/verify", append(append(original3("GET", "h", "/demo"), spoof...), "Authorization: Bearer "+hs(appSecret, "app-key"))...)
	if v := a.header.Values("X-Tier"); a.status != 200 || len(v) != 1 || v[0] != "" {
		t.Errorf("%d, a claim that is not there: %q", a.status, v)
	}
	a = call(t, server, "GET", "/verify", append(original3("PUT", "open.example", "/"), spoof...)...)
	for _, n := range identityNames {
		if v := a.header.Values(n); a.status != 200 || len(v) != 1 || v[0] != "" {
			t.Errorf("%d, on a route for everybody %s is %q, want it empty", a.status, n, v)
		}
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q", a.header.Get("Cache-Control"))
	}
}

func TestVerifyCounts(t *testing.T) {
	t.Parallel()
	server := beside(t, here)
	ask := func(client string) answer {
		return call(t, server, "GET", "/verify", append(original3("GET", "h", "/once"), "X-Forwarded-For: "+client)...)
	}
	if a := ask("192.0.2.1"); a.status != 200 || a.header.Get("X-RateLimit-Remaining-Hour") != "0" {
		t.Errorf("first: %d %v", a.status, a.header)
	}
	if a := ask("192.0.2.1"); a.status != 429 || a.header.Get("Retry-After") == "" || a.message(t) != "API rate limit exceeded" {
		t.Errorf("second: %d %v %s", a.status, a.header, a.body)
	}
	if a := ask("192.0.2.2"); a.status != 200 {
		t.Errorf("of another client: %d", a.status)
	}
}

// Strangers ask nothing: to them it is a path like any other.
func TestVerifyIsForTrustedGateways(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string][]string{"nginx": original3("GET", "h", "/once"), "Traefik": forwarded3("GET", "h", "/once")} {
		if a := call(t, beside(t, nil), "GET", "/verify", lines...); a.status != 404 {
			t.Errorf("%s: %d %s, want 404", name, a.status, a.body)
		}
	}
	cfg := oneRoute(newEcho(t).URL, Plugins{})
	cfg.Services[0].Routes = append(cfg.Services[0].Routes, Route{Name: "all", Paths: []string{"/"}})
	_, server := newGateway(t, Options{Config: cfg, Trusts: httpx.Trusts(here)})
	if up := call(t, server, "GET", "/verify", original3("GET", "h", "/once")...).seen(t); up.URI != "/verify" {
		t.Errorf("without verify_path the upstream got %s", up.URI)
	}
}

// Whatever is asked, the answer is one of those that are documented, and nothing that
// a client can add to a question makes it one about another request.
func FuzzVerify(f *testing.F) {
	for _, seed := range [][4]string{
		{"X-Forwarded-Uri", "/once", "", "GET"},
		{"X-Original-Host", "open.example", "/x", "PUT"},
		{"X-Forwarded-Host", "open.example", "", "GET"},
		{"X-Original-URL", "http://open.example/", "", "GET"},
		{"X_Original_URI", "/once", "?x", "PUT"},
		{"Host", "open.example", "", "PUT"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	g, err := New(f.Context(), Options{Trusts: httpx.Trusts(here), Config: Config{VerifyPath: "/verify", Services: []Service{{Name: "s", URL: "http://h", Routes: []Route{
		{Name: "closed", Hosts: []string{"closed.example"}, Plugins: Plugins{JWT: &JWT{}}},
		{Name: "open", Paths: []string{"/"}},
	}}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, value, suffix, method string) {
		if !validHeader(name) || strings.ContainsAny(value, "\r\n\x00") {
			return
		}
		// As nginx asks, which puts its own headers in place of the client's.
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/verify", nil)
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set(name, value)
		r.Header.Set(originalMethod, method)
		r.Header.Set(originalHost, "closed.example")
		r.Header.Set(originalURI, "/a"+suffix)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized && w.Code != http.StatusBadRequest {
			t.Errorf("%s: %q, %s /a%s: %d", name, value, method, suffix, w.Code)
		}
	})
}

func TestValidateVerifyPath(t *testing.T) {
	t.Parallel()
	for path, ok := range map[string]bool{
		"": true, "/verify": true, "/a/b": true, "/": false, "/verify/": false, "verify": false, "/a//b": false, "/a/../b": false, "/%61": false,
	} {
		cfg := oneRoute("http://h", Plugins{})
		cfg.VerifyPath = path
		if err := cfg.Validate(); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "verify_path") {
			t.Errorf("%q: Validate() = %v", path, err)
		}
	}
}
