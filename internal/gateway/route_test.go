package gateway

import (
	"strings"
	"testing"
)

func newTestRouter(routes ...Route) *router {
	var all []*candidate
	for i := range routes {
		all = append(all, routes[i].candidates(&route{name: routes[i].Name})...)
	}
	return newRouter(all)
}

func TestRouterFind(t *testing.T) {
	t.Parallel()
	r := newTestRouter(
		Route{Name: "demo", Paths: []string{"/demo"}},
		Route{Name: "demo-admin", Paths: []string{"/demo/admin/"}},
		Route{Name: "two", Paths: []string{"/two", "/deux"}},
		Route{Name: "post", Paths: []string{"/demo"}, Methods: []string{"POST", "PUT"}},
		Route{Name: "host", Hosts: []string{"Api.example.com"}},
		Route{Name: "host-path", Hosts: []string{"api.example.com"}, Paths: []string{"/v1"}},
		Route{Name: "below", Hosts: []string{"*.example.com"}},
		Route{Name: "far-below", Hosts: []string{"*.eu.example.com"}},
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
		{"GET", "api.example.com", "/v1/x", "host-path"},
		{"GET", "api.example.com", "/v2", "host"},
		{"GET", "www.example.com", "/v1", "below"},
		{"GET", "a.b.example.com", "/", "below"},
		{"GET", "a.eu.example.com", "/", "far-below"},
		{"GET", "example.com", "/", ""},
		{"GET", "badexample.com", "/", ""},
		{"GET", ".example.com", "/", ""},
		{"PURGE", "x.org", "/any/thing", "purge"},
		{"GET", "10.0.0.1", "/", "ten"},
		{"GET", "[::1]", "/", "ten"},
		{"GET", "rest.org", "/", "rest"},
		{"GET", "rest.org", "/demo", "rest"},
		{"GET", "", "/", ""},
	} {
		got := ""
		if c := r.find(tc.method, tc.host, tc.path); c != nil {
			got = c.route.name
		}
		if got != tc.want {
			t.Errorf("find(%s, %s, %s) = %q, want %q", tc.method, tc.host, tc.path, got, tc.want)
		}
	}
}

// Which route answers does not hang on the order in which they were written.
func TestRouterOrder(t *testing.T) {
	t.Parallel()
	routes := []Route{
		{Name: "/", Paths: []string{"/"}},
		{Name: "/a", Paths: []string{"/a"}},
		{Name: "/a/b", Paths: []string{"/a/b"}},
		{Name: "*", Hosts: []string{"*.h"}, Paths: []string{"/a"}},
		{Name: "x.h", Hosts: []string{"x.h"}, Paths: []string{"/"}},
	}
	for range routes {
		routes = append(routes[1:], routes[0])
		r := newTestRouter(routes...)
		for path, want := range map[string]string{"/": "/", "/c": "/", "/a": "/a", "/a/c": "/a", "/a/b/c": "/a/b"} {
			if got := r.find("GET", "other", path).route.name; got != want {
				t.Errorf("%s → %s, want %s", path, got, want)
			}
		}
		if got := r.find("GET", "x.h", "/a/b").route.name; got != "x.h" {
			t.Errorf("x.h/a/b → %s, want the exact host", got)
		}
		if got := r.find("GET", "y.h", "/a/b").route.name; got != "*" {
			t.Errorf("y.h/a/b → %s, want the wildcard host", got)
		}
	}
}

// A long path costs no more than the longest prefix there is.
func TestRouterSearchIsBounded(t *testing.T) {
	t.Parallel()
	r := newTestRouter(Route{Name: "a", Paths: []string{"/a"}})
	if got := r.find("GET", "", "/a"+strings.Repeat("/a", 1<<20)); got == nil {
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
		{"http://u/base/", "/demo", "/demo/x%20y", true, "/base/x%20y"},
		{"http://u/b%C3%A9", "", "/x", true, "/b%C3%A9/x"},
		{"http://u/base", "", "/", false, "/base/"},
		{"internal://u", "/demo", "/demo", true, "/"},
		{"internal://u", "/demo", "/demo/x", true, "/x"},
	} {
		up, err := parseUpstream(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		r := &route{service: &service{base: up.url}, strip: tc.strip}
		if got := r.target(tc.prefix, tc.path); got != tc.want {
			t.Errorf("%s %s %s strip=%v: %q, want %q", tc.url, tc.prefix, tc.path, tc.strip, got, tc.want)
		}
	}
}

func TestHostName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "Example.COM": "example.com", "example.com:80": "example.com", "example.com.": "example.com",
		"example.com.:80": "example.com", "[::1]:80": "[::1]", "[::1]": "[::1]", "10.0.0.1:1": "10.0.0.1",
	} {
		if got := hostName(in); got != want {
			t.Errorf("hostName(%q) = %q, want %q", in, got, want)
		}
	}
}
