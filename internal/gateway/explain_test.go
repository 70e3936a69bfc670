package gateway

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	no := false
	cfg := oneRoute("http://h", Plugins{JWT: &JWT{IssuerPrefixes: []string{"mobilev2"}, RunOnPreflight: &no}, ACL: &ACL{Allow: []string{"staff"}}})
	cfg.Services[0].Routes = append(cfg.Services[0].Routes,
		Route{Name: "open", Hosts: []string{"open.example"}},
		Route{Name: "tls", Paths: []string{"~/tls$"}, Protocols: []string{"https"}, Plugins: Plugins{
			CORS: &CORS{}, RequestSizeLimiting: &RequestSizeLimiting{AllowedPayloadSize: 2, SizeUnit: "kilobytes"},
		}},
		Route{Name: "query", Paths: []string{"/query"}, Plugins: Plugins{JWT: &JWT{HeaderNames: []string{}}}},
	)
	g, err := New(t.Context(), Options{Config: cfg, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	found := Finding{"route", true, "route demo, service echo"}
	for name, tc := range map[string]struct {
		method, host, target, token string
		want                        []Finding
	}{
		"not a path":     {"GET", "h", "demo", "", []Finding{{"path", false, "not a path: it starts with a slash and may have a query"}}},
		"ambiguous path": {"GET", "h", "/a//b", "", []Finding{{"path", false, `400 {"message":"Bad request: path has an empty segment"}: path has an empty segment`}}},
		"no route": {"GET", "h", "/x/%7e", "", []Finding{
			{"path", true, "/x/~"}, {"route", false, `404 {"message":"no Route matched with those values"}: no route matches`},
		}},
		"open": {"GET", "open.example:80", "/", "", []Finding{{"path", true, "/"}, {"route", true, "route open, service echo"}}},
		"no token": {"GET", "h", "/demo", "", []Finding{
			{"path", true, "/demo"}, found, {"jwt", false, `401 {"message":"Unauthorized"}: Unauthorized`},
		}},
		"wrong signature": {"GET", "h", "/demo", hs("another-secret", "app-key"), []Finding{
			{"path", true, "/demo"}, found, {"jwt", false, `401 {"message":"Invalid signature"}: signature does not verify`},
		}},
		"wrong group": {"GET", "h", "/demo", deviceToken(deviceIssuer, nil), []Finding{
			{"path", true, "/demo"},
			found,
			{"jwt", true, "consumer devices, credential mobilev2, identity " + deviceIssuer},
			{"acl", false, `403 {"message":"You cannot consume this service"}: the consumer is in none of the groups allowed`},
		}},
		"admitted": {"GET", "h", "/demo?x=1", hs(appSecret, "app-key"), []Finding{
			{"path", true, "/demo"},
			found,
			{"jwt", true, "consumer app, credential app-key, identity app-key"},
			{"acl", true, "groups mobileAdmin, staff"},
		}},
		"preflight": {"OPTIONS", "h", "/demo", "", []Finding{
			{"path", true, "/demo"},
			found,
			{"jwt", true, "not checked"},
			{"acl", false, `401 {"message":"Unauthorized"}: no consumer is known: the route has no jwt, or it did not run`},
		}},
		"cors and size": {"GET", "h", "/tls", "", []Finding{
			{"path", true, "/tls"},
			{"route", true, "route tls, service echo"},
			{"cors", true, "says in the answer which origins may read it"},
			{"request-size-limiting", true, "bodies of at most 2048 bytes"},
		}},
		"token in the query": {"GET", "h", "/query?x=1", hs(appSecret, "app-key"), []Finding{
			{"path", true, "/query"},
			{"route", true, "route query, service echo"},
			{"jwt", true, "consumer app, credential app-key, identity app-key"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := g.Explain(t.Context(), tc.method, tc.host, tc.target, tc.token)
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("findings (-want +got):\n%s", d)
			}
			for _, f := range got {
				if tc.token != "" && strings.Contains(f.Detail, tc.token) {
					t.Errorf("a finding shows the token: %s", f.Detail)
				}
			}
		})
	}
}

// What an option makes of a refusal is told with the refusal.
func TestExplainOptions(t *testing.T) {
	t.Parallel()
	cfg := oneRoute("http://h", Plugins{JWT: &JWT{Anonymous: "guest"}, ACL: &ACL{Allow: []string{"staff"}}})
	cfg.Consumers = append(cfg.Consumers, Consumer{Username: "guest"})
	cfg.Services[0].Routes = append(
		cfg.Services[0].Routes,
		Route{Name: "kid", Paths: []string{"/kid"}, Plugins: Plugins{JWT: &JWT{KidLookup: true, StatusProfile: "sunbird"}}},
		Route{Name: "strict", Paths: []string{"/strict"}, Plugins: Plugins{JWT: &JWT{Audience: []string{"a"}}}},
	)
	d := newDirectory()
	d.fail(true)
	g, err := New(t.Context(), Options{Config: cfg, Registry: d, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ target, token, check, want string }{
		"anonymous":           {"/demo", "", "jwt", "anonymous consumer guest, instead of a refusal: Unauthorized"},
		"a bad token":         {"/demo", hs("x", "app-key"), "jwt", "anonymous consumer guest, instead of a refusal: signature does not verify"},
		"of no group":         {"/demo", "", "acl", `401 {"message":"Unauthorized"}: the caller is anonymous, and the anonymous consumer has no groups: Unauthorized`},
		"by kid":              {"/kid", issued("RS256", "mobilev2", rsaA(), "device-1"), "jwt", "consumer devices, credential mobilev2, identity device-1"},
		"an unknown kid":      {"/kid", issued("RS256", "mobilev2", rsaB(), "device-1"), "jwt", `403 {"message":"Invalid signature"}: signature does not verify`},
		"a claim":             {"/strict", hs(appSecret, "app-key"), "jwt", `401 {"aud":"is not this audience"}: {"aud":"is not this audience"}`},
		"a store that's down": {"/strict", hs("s", "nobody"), "jwt", `503 {"message":"Credentials cannot be looked up right now"}: verification keys cannot be fetched: the store is down`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(g.Explain(t.Context(), "GET", "h", tc.target, tc.token), func(f Finding) bool { return f.Check == tc.check })
			if i < 0 {
				t.Fatalf("no finding of %s", tc.check)
			}
			if got := g.Explain(t.Context(), "GET", "h", tc.target, tc.token)[i].Detail; got != tc.want {
				t.Errorf("%s: %s, want %s", tc.check, got, tc.want)
			}
		})
	}
}
