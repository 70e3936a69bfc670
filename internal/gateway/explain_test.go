package gateway

import (
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
