package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestNormalPath(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                     "/",
		"/":                    "/",
		"/demo":                "/demo",
		"/demo/":               "/demo/",
		"/%64em%6F":            "/demo",
		"/a%7Eb~c":             "/a~b~c",
		"/a%2db":               "/a-b",
		"/a%21b%40c":           "/a!b@c",
		"/a%3bb":               "/a%3Bb",
		"/a%3fb%23c":           "/a%3Fb%23c",
		"/a[0]":                "/a%5B0%5D",
		"/a b|c":               "/a%20b%7Cc",
		"/caf%c3%a9":           "/caf%C3%A9",
		"/100%25":              "/100%25",
		"/100%25/x":            "/100%25/x",
		"/50%25z0":             "/50%25z0",
		"/a/./b":               "/a/b",
		"/a/../b":              "/b",
		"/a/%2e%2E/b":          "/b",
		"/a/.%2e/b":            "/b",
		"/a/b/..":              "/a/",
		"/a/b/.":               "/a/b/",
		"/..":                  "/",
		"/../../etc":           "/etc",
		"/a/...":               "/a/...",
		"/.well-known/x":       "/.well-known/x",
		"/a/..b/c":             "/a/..b/c",
		"/open/../demo/secret": "/demo/secret",
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := normalPath(in)
			if err != nil || got != want {
				t.Errorf("normalPath(%q) = %q, %v; want %q", in, got, err, want)
			}
		})
	}
}

func TestNormalPathRefuses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]error{
		"demo":           errPathStart,
		"*":              errPathStart,
		"//":             errPathEmpty,
		"//demo":         errPathEmpty,
		"/a//b":          errPathEmpty,
		"/a/..//b":       errPathEmpty,
		"/a;b":           errPathParam,
		"/a/..;/b":       errPathParam,
		"/a%2fb":         errPathSlash,
		"/a%2Fb":         errPathSlash,
		"/a%5cb":         errPathSlash,
		`/a\b`:           errPathSlash,
		"/a%00":          errPathControl,
		"/a%0d%0ab":      errPathControl,
		"/a%7f":          errPathControl,
		"/a%c2%85b":      errPathControl,
		"/a%":            errPathEscape,
		"/a%2":           errPathEscape,
		"/a%zz":          errPathEscape,
		"/%252e%252e/a":  errPathTwice,
		"/a%252fb":       errPathTwice,
		"/a%25%32%65":    errPathTwice,
		"/a%252":         nil, // "%2" cannot be decoded again
		"/a%c0%af":       errPathText,
		"/a%ff":          errPathText,
		"/a%ed%a0%80":    errPathText,
		"/a%c3/%a9":      errPathText,
		"/%u002e%u002e/": errPathEscape,
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			if got, err := normalPath(in); !errors.Is(err, want) {
				t.Errorf("normalPath(%q) = %q, %v; want error %v", in, got, err, want)
			}
		})
	}
}

func TestNormalPathCommonCaseDoesNotAllocate(t *testing.T) { // AllocsPerRun wants to be alone
	if n := testing.AllocsPerRun(100, func() { _, _ = normalPath("/api/content/v1/read/do_1234:x") }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// What the rules saw is what a request to the upstream says, and saying it again
// changes nothing.
func FuzzNormalPath(f *testing.F) {
	for _, p := range []string{"/", "/a/../b", "/%2e%2e/a", "/a%3Bb", "/a%252e", "/é", "/a[1]", "/a//b", "/.%2e/;", "/%25%32%65"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		normal, err := normalPath(p)
		if err != nil {
			return
		}
		if again, err := normalPath(normal); err != nil || again != normal {
			t.Fatalf("%q → %q → %q, %v", p, normal, again, err)
		}
		for segment := range strings.SplitSeq(normal[1:], "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q → %q keeps a dot segment", p, normal)
			}
		}
		u := url.URL{Scheme: "http", Host: "upstream"}
		setPath(&u, normal)
		if got := u.RequestURI(); got != normal {
			t.Fatalf("%q is sent as %q", normal, got)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u.String(), nil)
		if err != nil || r.URL.EscapedPath() != normal {
			t.Fatalf("%q is read back as %q, %v", normal, r.URL.EscapedPath(), err)
		}
	})
}
