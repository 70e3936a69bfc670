package gateway

import (
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// naiveHost compares as the documentation says it: a star is one character or more.
func naiveHost(rule, host, port string) bool {
	rule = strings.ToLower(rule)
	if i := strings.LastIndexByte(rule, ':'); i > strings.LastIndexByte(rule, ']') {
		if rule[i+1:] != port {
			return false
		}
		rule = rule[:i]
	}
	pattern := strings.ReplaceAll(regexp.QuoteMeta(rule), `\*`, `(?s:.+)`)
	return regexp.MustCompile("^" + pattern + "$").MatchString(host)
}

// naivePath tells how much of path matches, -1 for nothing.
func naivePath(rule, path string) int {
	if expr, is := strings.CutPrefix(rule, "~"); is {
		at := regexp.MustCompile("^(?:" + expr + ")").FindStringIndex(path)
		if at == nil {
			return -1
		}
		return at[1]
	}
	rule = strings.TrimSuffix(rule, "/")
	if path == rule || strings.HasPrefix(path, rule+"/") {
		return len(rule)
	}
	return -1
}

// The router finds what one finds who looks at every way in the order of rank.
func FuzzRouter(f *testing.F) {
	routes := []Route{
		{Name: "0", Paths: []string{"/", "/a", "/a/b/"}},
		{Name: "1", Paths: []string{"/a"}, Methods: []string{"POST"}},
		{Name: "2", Hosts: []string{"h", "*.h", "h.*"}},
		{Name: "3", Hosts: []string{"h:81", "x.h"}, Paths: []string{"/a/b", "~/a/.*c"}},
		{Name: "4", Paths: []string{`~/[a-z]+$`, `~/a|/b`}, RegexPriority: 1},
		{Name: "5", Paths: []string{"/a"}, Headers: map[string][]string{"V": {"1"}}},
		{Name: "6", Paths: []string{`~/(a|b)+`}, Methods: []string{"POST"}},
		{Name: "7", Hosts: []string{"*.x.h"}, Paths: []string{"/b%20c", "/%C3%A9"}},
	}
	r := newTestRouter(f, routes...)
	byRank := map[int]*candidate{}
	for _, in := range append(slices.Collect(maps.Values(r.named)), r.others) {
		for _, list := range in {
			for _, c := range list {
				byRank[c.rank] = c
			}
		}
	}
	for _, c := range r.exprs {
		byRank[c.rank] = c
	}
	rules := map[int][2]string{} // host and path of each, as they were written
	for i := range routes {
		for _, host := range orAny(routes[i].Hosts) {
			for _, path := range orAny(routes[i].Paths) {
				for rank, c := range byRank {
					rule, _ := parseHost(host)
					text, is := expression(path)
					same := !is && c.expr == nil && c.prefix == strings.TrimSuffix(path, "/") || is && c.expr != nil && c.expr.String() == "^(?:"+text+")"
					if c.route.name == routes[i].Name && same && (host == "" && c.host.form == anyHost || host != "" && c.host == rule) {
						rules[rank] = [2]string{host, path}
					}
				}
			}
		}
	}
	if len(rules) != len(byRank) {
		f.Fatalf("%d ways, %d of them known", len(byRank), len(rules))
	}
	for _, seed := range [][3]string{
		{"GET", "h", "/a/b"}, {"POST", "x.h:81", "/a"}, {"GET", "y.x.h", "/b c/é"}, {"GET", "h.org", "/zz"}, {"POST", "", "/abab/x"}, {"GET", "h:81", "/a/xc/y"},
	} {
		f.Add(seed[0], seed[1], seed[2], "1")
	}
	f.Fuzz(func(t *testing.T, method, host, target, version string) {
		path, err := normalPath(target)
		if err != nil {
			return
		}
		q := &request{method: method, path: path, header: http.Header{"V": {version}}}
		q.host, q.port = hostOf(host, false)
		var want *candidate
		matched := 0
		for rank := range len(byRank) {
			c, rule := byRank[rank], rules[rank]
			n := 0
			if rule[1] != "" {
				n = naivePath(rule[1], path)
			}
			i := c.route.name[0] - '0'
			if n >= 0 && (rule[0] == "" || naiveHost(rule[0], q.host, q.port)) &&
				(len(routes[i].Methods) == 0 || routes[i].Methods[0] == method) &&
				(len(routes[i].Headers) == 0 || version == "1") {
				want, matched = c, n
				break
			}
		}
		got, n := r.find(q)
		if got != want || n != matched {
			t.Fatalf("%s %s %s: %v by %d, want %v by %d", method, host, path, got, n, want, matched)
		}
	})
}

// Whatever an expression leaves of a path, what goes to the upstream is a normal
// path below the service's own.
func FuzzTarget(f *testing.F) {
	for _, p := range []string{"/a/b", "/a../b", "/a.../..x", "/a%20%2e", "/é/.x", "/ab/..."} {
		for n := range 4 {
			f.Add(p, uint8(n))
		}
	}
	to, err := parseURL("http://u/base")
	if err != nil {
		f.Fatal(err)
	}
	r := &route{service: &service{base: to.url}, strip: true}
	f.Fuzz(func(t *testing.T, target string, cut uint8) {
		path, err := normalPath(target)
		if err != nil {
			return
		}
		n := min(int(cut), len(path))
		for n > 0 && n < len(path) && (path[n-1] == '%' || n > 1 && path[n-2] == '%') {
			n-- // an expression can cut an escape in two; the rest is other text then
		}
		got := r.target(n, path)
		again, err := normalPath(got)
		if errors.Is(err, errPathText) { // the expression cut a character in two
			return
		}
		if err != nil || again != got || got != "/base" && !strings.HasPrefix(got, "/base/") {
			t.Fatalf("%q cut at %d: %q, normal %q, %v", path, n, got, again, err)
		}
	})
}
