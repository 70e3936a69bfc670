package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func newTestRouter(t testing.TB, routes ...Route) *router {
	t.Helper()
	var all []*candidate
	for i := range routes {
		ways, err := routes[i].candidates(&route{name: routes[i].Name})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ways...)
	}
	return newRouter(all)
}

// found names the route that r finds, and what of the path it matched.
func (r *router) found(method, host, path string, header http.Header) (name, matched string) {
	q := &request{method: method, path: path, header: header}
	q.host, q.port = hostOf(host, false)
	c, n := r.find(q)
	if c == nil {
		return "", ""
	}
	return c.route.name, path[:n]
}

func TestRouterFind(t *testing.T) {
	t.Parallel()
	r := newTestRouter(
		t,
		Route{Name: "demo", Paths: []string{"/demo"}},
		Route{Name: "demo-admin", Paths: []string{"/demo/admin/"}},
		Route{Name: "two", Paths: []string{"/two", "/deux"}},
		Route{Name: "post", Paths: []string{"/demo"}, Methods: []string{"POST", "PUT"}},
		Route{Name: "host", Hosts: []string{"Api.example.com"}},
		Route{Name: "host-path", Hosts: []string{"api.example.com"}, Paths: []string{"/v1"}},
		Route{Name: "port", Hosts: []string{"api.example.com:8443"}},
		Route{Name: "below", Hosts: []string{"*.example.com"}},
		Route{Name: "far-below", Hosts: []string{"*.eu.example.com"}},
		Route{Name: "any-end", Hosts: []string{"shop.*"}},
		Route{Name: "any-end-80", Hosts: []string{"shop.*:80"}, Paths: []string{"/eighty"}},
		Route{Name: "purge", Methods: []string{"PURGE"}},
		Route{Name: "ten", Hosts: []string{"10.0.0.1", "[::1]"}},
		Route{Name: "rest", Hosts: []string{"rest.org"}, Paths: []string{"/"}},
	)
	for _, tc := range []struct{ method, host, path, want string }{
		{"GET", "x.org", "/demo", "demo"},
		{"GET", "x.org", "/demo/", "demo"},
		{"GET", "x.org", "/demo/x", "demo"},
		{"GET", "x.org", "/demolition", ""},
		{"GET", "x.org", "/Demo", ""},
		{"GET", "x.org", "/", ""},
		{"GET", "x.org", "/x/demo", ""},
		{"GET", "x.org", "/demo/admin", "demo-admin"},
		{"GET", "x.org", "/demo/admin/users", "demo-admin"},
		{"GET", "x.org", "/demo/administration", "demo"},
		{"GET", "x.org", "/deux/x", "two"},
		{"POST", "x.org", "/demo", "post"},
		{"PUT", "x.org", "/demo/admin", "post"}, // two attributes beat one
		{"post", "x.org", "/demo", "demo"},      // methods have a case
		{"GET", "api.example.com", "/", "host"},
		{"GET", "API.example.com.:8000", "/", "host"},
		{"GET", "api.example.com", "/v1/x", "host-path"},
		{"GET", "api.example.com", "/v2", "host"},
		{"GET", "api.example.com:8443", "/v2", "port"},
		{"GET", "www.example.com", "/v1", "below"},
		{"GET", "a.b.example.com", "/", "below"},
		{"GET", "a.eu.example.com", "/", "far-below"},
		{"GET", "example.com", "/", ""},
		{"GET", "badexample.com", "/", ""},
		{"GET", ".example.com", "/", ""},
		{"GET", "shop.fr", "/", "any-end"},
		{"GET", "shop.co.uk:81", "/", "any-end"},
		{"GET", "shop.fr", "/eighty", "any-end-80"}, // 80 is the port of http
		{"GET", "shop.fr:81", "/eighty", "any-end"},
		{"GET", "shop.", "/", ""},
		{"GET", "workshop.fr", "/", ""},
		{"PURGE", "x.org", "/any/thing", "purge"},
		{"GET", "10.0.0.1", "/", "ten"},
		{"GET", "[::1]", "/", "ten"},
		{"GET", "rest.org", "/", "rest"},
		{"GET", "rest.org", "/demo", "rest"},
		{"GET", "", "/", ""},
	} {
		if got, _ := r.found(tc.method, tc.host, tc.path, nil); got != tc.want {
			t.Errorf("find(%s, %s, %s) = %q, want %q", tc.method, tc.host, tc.path, got, tc.want)
		}
	}
}

func TestRouterExpressions(t *testing.T) {
	t.Parallel()
	r := newTestRouter(
		t,
		Route{Name: "users", Paths: []string{"/users"}},
		Route{Name: "user", Paths: []string{`~/users/\d+`}},
		Route{Name: "user-end", Paths: []string{`~/users/(?<id>\d+)/end$`}, RegexPriority: 1},
		Route{Name: "either", Paths: []string{`~/a|/ab`}},
		Route{Name: "host", Hosts: []string{"h"}, Paths: []string{"/users/7"}},
	)
	for _, tc := range []struct{ host, path, want, matched string }{
		{"x", "/users", "users", "/users"},
		{"x", "/users/x", "users", "/users"},
		{"x", "/users/12", "user", "/users/12"}, // before any prefix
		{"x", "/users/12x/y", "user", "/users/12"},
		{"x", "/users/12/end", "user-end", "/users/12/end"},
		{"x", "/users/12/end/", "user", "/users/12"},
		{"x", "/x/users/12", "", ""},
		{"x", "/abc", "either", "/a"}, // the first of two ways, as in Perl
		{"h", "/users/7", "host", "/users/7"},
	} {
		if got, matched := r.found("GET", tc.host, tc.path, nil); got != tc.want || matched != tc.matched {
			t.Errorf("%s%s → %q by %q, want %q by %q", tc.host, tc.path, got, matched, tc.want, tc.matched)
		}
	}
}

func TestRouterHeaders(t *testing.T) {
	t.Parallel()
	r := newTestRouter(
		t,
		Route{Name: "plain", Paths: []string{"/a"}},
		Route{Name: "beta", Paths: []string{"/a"}, Headers: map[string][]string{"x-version": {"beta", "Gamma"}}},
		Route{Name: "both", Paths: []string{"/a"}, Headers: map[string][]string{"x-version": {"beta"}, "X-Place": {"eu"}}},
		Route{Name: "expr", Headers: map[string][]string{"X-Version": {"~*^v[0-9]+$"}}},
	)
	for want, h := range map[string]http.Header{
		"plain": {"X-Version": {"alpha"}},
		"beta":  {"X-Version": {"x", "GAMMA"}, "X-Place": {"us"}},
		"both":  {"X-Version": {"beta"}, "X-Place": {"EU"}},
	} {
		if got, _ := r.found("GET", "", "/a/x", h); got != want {
			t.Errorf("%v → %q, want %q", h, got, want)
		}
	}
	for value, want := range map[string]string{"V12": "expr", "av12": "", "v": ""} {
		if got, _ := r.found("GET", "", "/b", http.Header{"X-Version": {value}}); got != want {
			t.Errorf("%q → %q, want %q", value, got, want)
		}
	}
}

// Which route answers does not hang on the order in which they were written. Each is
// what a request gets that matches it and all after it.
func TestRouterOrder(t *testing.T) {
	t.Parallel()
	routes := []Route{
		{Name: "all four", Hosts: []string{"x.h"}, Paths: []string{"/a"}, Methods: []string{"GET"}, Headers: map[string][]string{"V": {"1"}}},
		{Name: "host, header, path", Hosts: []string{"x.h"}, Paths: []string{"/a"}, Headers: map[string][]string{"V": {"1"}}},
		{Name: "host, header", Hosts: []string{"x.h"}, Headers: map[string][]string{"V": {"1"}}},
		{Name: "host, expression", Hosts: []string{"x.h"}, Paths: []string{"~/."}},
		{Name: "host, path", Hosts: []string{"x.h"}, Paths: []string{"/a/b"}},
		{Name: "host, shorter path", Hosts: []string{"x.h"}, Paths: []string{"/a"}},
		{Name: "wildcard, expression, priority", Hosts: []string{"*.h"}, Paths: []string{"~/"}, RegexPriority: 5},
		{Name: "wildcard, expression", Hosts: []string{"*.h"}, Paths: []string{"~/[a-z]/b"}},
		{Name: "wildcard, path", Hosts: []string{"x.*"}, Paths: []string{"/a/b"}},
		{Name: "wildcard, shorter path", Hosts: []string{"*.h"}, Paths: []string{"/a"}},
		{Name: "host, method", Hosts: []string{"*.h"}, Methods: []string{"GET"}},
		{Name: "two headers", Paths: []string{"/"}, Headers: map[string][]string{"V": {"1"}, "W": {"1"}}},
		{Name: "one header", Paths: []string{"/a/b"}, Headers: map[string][]string{"V": {"1"}}},
		{Name: "path, method", Paths: []string{"/a"}, Methods: []string{"GET"}},
		{Name: "host and port", Hosts: []string{"x.h:80"}},
		{Name: "host", Hosts: []string{"x.h"}},
		{Name: "wildcard", Hosts: []string{"*.h"}},
		{Name: "header", Headers: map[string][]string{"V": {"1"}}},
		{Name: "path", Paths: []string{"/a/b"}},
		{Name: "shorter path", Paths: []string{"/"}},
		{Name: "method", Methods: []string{"GET"}},
	}
	for i, want := range routes {
		for turn := range len(routes) - i {
			some := append(append([]Route(nil), routes[i+turn:]...), routes[i:i+turn]...)
			got, _ := newTestRouter(t, some...).found("GET", "x.h", "/a/b", http.Header{"V": {"1"}, "W": {"1"}})
			if got != want.Name {
				t.Errorf("without the first %d, turned by %d: %q, want %q", i, turn, got, want.Name)
			}
		}
	}
}

// A long path costs no more than the longest prefix there is.
func TestRouterSearchIsBounded(t *testing.T) {
	t.Parallel()
	r := newTestRouter(t, Route{Name: "a", Paths: []string{"/a"}})
	if got, _ := r.found("GET", "", "/a"+strings.Repeat("/a", 1<<20), nil); got == "" {
		t.Error("no route")
	}
	if r.longest != 2 {
		t.Errorf("longest = %d, want 2", r.longest)
	}
}

func TestRouteTarget(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		url, prefix, path string
		strip             bool
		want              string
	}{
		{"http://u", "/demo", "/demo", true, "/"},
		{"http://u", "/demo", "/demo/", true, "/"},
		{"http://u", "/demo", "/demo/x", true, "/x"},
		{"http://u", "/demo", "/demo/x", false, "/demo/x"},
		{"http://u/base", "/demo", "/demo", true, "/base"},
		{"http://u/base", "/demo", "/demo/", true, "/base/"},
		{"http://u/base/", "/demo", "/demo/x%20y", true, "/base/x%20y"},
		{"http://u/b%C3%A9", "", "/x", true, "/b%C3%A9/x"},
		{"http://u/base", "", "/", false, "/base"},
		{"http://u/base", "", "/", true, "/base"},
		{"http://u/base", "", "/x/", false, "/base/x/"},
		{"internal://u", "/demo", "/demo", true, "/"},
		{"internal://u", "/demo", "/demo/x", true, "/x"},
		{"http://u", "/users/1", "/users/12", true, "/2"}, // expressions end anywhere
		{"http://u/base", "/users/", "/users/12", true, "/base/12"},
		{"http://u/base", "/a", "/a../b", true, "/base/b"},
		{"http://u/base", "/a", "/a.../b", true, "/base/.../b"},
	} {
		to, err := parseURL(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		r := &route{service: &service{base: to.url}, strip: tc.strip}
		if got := r.target(len(tc.prefix), tc.path); got != tc.want {
			t.Errorf("%s %s %s strip=%v: %q, want %q", tc.url, tc.prefix, tc.path, tc.strip, got, tc.want)
		}
	}
}

// BenchmarkRouter finds one of 500 routes, of which some are by host, method or
// expression.
func BenchmarkRouter(b *testing.B) {
	var routes []Route
	for i := range 500 {
		r := Route{Name: fmt.Sprint(i), Paths: []string{fmt.Sprintf("/content/v%d/read", i)}}
		switch i % 10 {
		case 7:
			r.Hosts = []string{fmt.Sprintf("h%d.example.com", i)}
		case 8:
			r.Methods = []string{"POST"}
		}
		routes = append(routes, r)
	}
	for name, add := range map[string][]Route{
		"prefix":        nil,
		"5 expressions": {{Name: "e", Paths: []string{`~/a/\d+$`, `~/b/\d+$`, `~/c/\d+$`, `~/content/v\d+/write`, `~/users/[a-z]+/x`}}},
	} {
		r := newTestRouter(b, append(routes, add...)...)
		q := &request{method: "GET", host: "api.example.com", port: "80", path: "/content/v341/read/do_3141592653"}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if c, _ := r.find(q); c == nil || c.route.name != "341" {
					b.Fatal(c)
				}
			}
		})
	}
}
