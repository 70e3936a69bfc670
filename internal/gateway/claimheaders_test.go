package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClaimHeaders(t *testing.T) {
	t.Parallel()
	ask := inProcess(t, oneRoute("", Plugins{JWT: &JWT{ClaimHeaders: map[string]string{"v": "x-user-claim"}}}), cached(Options{}))
	for name, tc := range map[string]struct {
		value any
		want  []string // nil: the header is not sent
	}{
		"text":                 {"ann", []string{"ann"}},
		"text beyond ASCII":    {"Ann Müller", []string{"Ann Müller"}},
		"number":               {7, []string{"7"}},
		"large number":         {9007199254740993, []string{"9007199254740993"}},
		"boolean":              {false, []string{"false"}},
		"list":                 {[]string{"a", "b"}, []string{"a, b"}},
		"text with a comma":    {"Müller, Ann", []string{"Müller, Ann"}},
		"list of one":          {[]string{"a"}, []string{"a"}},
		"one, as if two":       {[]string{"staff, admin"}, nil},
		"mixed list":           {[]any{"a", 1, true}, []string{"a, 1, true"}},
		"as long as allowed":   {strings.Repeat("x", 1024), []string{strings.Repeat("x", 1024)}},
		"too long":             {strings.Repeat("x", 1025), nil},
		"list with a comma":    {[]string{"a", "b, admin"}, nil},
		"object":               {object{"a": 1}, nil},
		"list of objects":      {[]any{object{"a": 1}}, nil},
		"null":                 {nil, nil},
		"empty":                {"", nil},
		"empty list":           {[]string{}, nil},
		"list with an empty":   {[]string{"", "a"}, []string{", a"}},
		"escaped":              {"a\"b\\c", []string{`a"b\c`}},
		"escaped, in a list":   {[]string{"<a>", `\`}, []string{`<a>, \`}},
		"line break":           {"a\r\nX-Admin: 1", nil},
		"in a list":            {[]string{"a", "b\nc"}, nil},
		"NUL":                  {"a\x00", nil},
		"blank at the end":     {"a ", nil},
		"direction marks":      {"a\u202eb", nil},
		"a soft break":         {"a\u2028b", nil},
		"delete":               {"a\x7f", nil},
		"a number in no range": {1e300, []string{"1e+300"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 2 { // verified, and from the cache
				h := ask("/demo?jwt="+hs(appSecret, "app-key", object{"v": tc.value}), "X-User-Claim: admin").seen(t).Header
				if d := cmp.Diff(tc.want, h["X-User-Claim"]); d != "" {
					t.Errorf("header (-want +got):\n%s", d)
				}
			}
		})
	}
}

// A client cannot say the header itself: not in another spelling, not where no token is
// asked for, and not by having ours taken away.
func TestClaimHeadersCannotBeSpoofed(t *testing.T) {
	t.Parallel()
	no := false
	cfg := oneRoute("", Plugins{JWT: &JWT{ClaimHeaders: map[string]string{"sub": "X-User"}, Anonymous: "app", RunOnPreflight: &no}})
	cfg.Services[0].URL = newEcho(t).URL
	_, server := newGateway(t, Options{Config: cfg})
	token := "Authorization: Bearer " + hs(appSecret, "app-key", object{"sub": "ann"})
	for name, tc := range map[string]struct {
		method string
		lines  []string
		want   string
	}{
		"told":                     {"GET", []string{token}, "ann"},
		"replaced":                 {"GET", []string{token, "X-User: admin"}, "ann"},
		"in another spelling":      {"GET", []string{token, "x_user: admin", "X.User: admin", "X-USER: admin"}, "ann"},
		"taken away":               {"GET", []string{token, "Connection: X-User", "X-User: admin"}, "ann"},
		"without a token":          {"GET", []string{"X-User: admin", "X_User: admin"}, ""},
		"with a token that is bad": {"GET", []string{"Authorization: Bearer x", "X-User: admin"}, ""},
		"where none is asked for":  {"OPTIONS", []string{"X-User: admin"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := call(t, server, tc.method, "/demo", tc.lines...).seen(t)
			for n, values := range up.Header {
				if fold(n) == "x-user" && (n != "X-User" || len(values) != 1 || values[0] != tc.want) {
					t.Errorf("upstream got %s %q", n, values)
				}
			}
			if up.Header.Get("X-User") != tc.want {
				t.Errorf("upstream got %q, want %q", up.Header.Get("X-User"), tc.want)
			}
		})
	}
}

func TestClaimHeaderName(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"X-User": true, "tenant": true, "X-Forwarded-User": true,
		"": false, "X User": false, "X-User:": false, "é": false,
		"X-Consumer-ID": false, "x_consumer_id": false, "X-Forwarded-For": false, "X-Anonymous-Consumer": false,
		"Host": false, "authorization": false, "Cookie": false, "Connection": false, "Transfer-Encoding": false,
		"Content-Length": false, "Content-Type": false, "Sec-WebSocket-Protocol": false, "Upgrade": false, "Proxy-Authorization": false,
	} {
		if claimHeaderName(name) != ok {
			t.Errorf("claimHeaderName(%q) = %v", name, !ok)
		}
	}
}

func TestHideCredentials(t *testing.T) {
	t.Parallel()
	no := false
	j := &JWT{HideCredentials: true, CookieNames: []string{"session"}, HeaderNames: []string{"authorization", "x-token"}, Anonymous: "app", RunOnPreflight: &no}
	cfg := oneRoute(newEcho(t).URL, Plugins{JWT: j})
	_, server := newGateway(t, Options{Config: cfg})
	token := hs(appSecret, "app-key")
	for name, tc := range map[string]struct {
		method, target string
		lines          []string
		uri            string
		keeps          http.Header
	}{
		"header":              {"GET", "/demo", []string{"Authorization: Bearer " + token, "Authorization: Basic abc"}, "/demo", http.Header{"Authorization": {"Basic abc"}}},
		"second header":       {"GET", "/demo", []string{"X-Token: bearer " + token, "X-Token: bearer again"}, "/demo", nil},
		"query":               {"GET", "/demo?a=%20b&jwt=" + token + "&c", nil, "/demo?a=%20b&c", nil},
		"query, escaped":      {"GET", "/demo?%6awt=" + token + "&&x=1", nil, "/demo?&x=1", nil},
		"query alone":         {"GET", "/demo?jwt=" + token, nil, "/demo", nil},
		"cookie":              {"GET", "/demo", []string{"Cookie: a=b; session=" + token + "; c=d", "Cookie: session=x"}, "/demo", http.Header{"Cookie": {"a=b; c=d"}}},
		"first cookie":        {"GET", "/demo", []string{"Cookie: session=" + token + "; c=d"}, "/demo", http.Header{"Cookie": {"c=d"}}},
		"all places":          {"GET", "/demo?jwt=" + token, []string{"Cookie: session=" + token, "Authorization: Bearer " + token}, "/demo", nil},
		"one that is refused": {"GET", "/demo?jwt=x", []string{"Authorization: Bearer y"}, "/demo", nil},
		"one nobody asks for": {"OPTIONS", "/demo?jwt=" + token, nil, "/demo", nil},
		"none":                {"GET", "/demo?a=b", []string{"Authorization: Basic abc", "Cookie: a=b;c=d"}, "/demo?a=b", http.Header{"Authorization": {"Basic abc"}, "Cookie": {"a=b;c=d"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := call(t, server, tc.method, tc.target, tc.lines...).seen(t)
			if up.URI != tc.uri {
				t.Errorf("upstream got %s, want %s", up.URI, tc.uri)
			}
			for _, name := range []string{"Authorization", "X-Token", "Cookie"} {
				if d := cmp.Diff(tc.keeps[name], up.Header[name]); d != "" {
					t.Errorf("%s (-want +got):\n%s", name, d)
				}
			}
		})
	}
}

// FuzzHide: what was taken out is out, and what stays was there before.
func FuzzHide(f *testing.F) {
	f.Add("jwt=a&b=c", "s=x; t=y", "Bearer z")
	f.Add("%6a%77t=a&jwt", "s=x;s=y", "Basic bearer  z")
	f.Add("&&=&jwt=%zz", " s =x; s", "bearer")
	f.Add("jwt=a& w", "s=x", "Bearer z")
	p := newPlaces(&JWT{CookieNames: []string{"s"}})
	f.Fuzz(func(t *testing.T, query, cookie, header string) {
		out := &http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{"Cookie": {cookie}, "Authorization": {header}}}
		p.remove(out)
		r := &request{query: out.URL.RawQuery, header: out.Header}
		if token, v := p.find(r); v != noToken {
			t.Fatalf("%q, %q, %q: found %q after it was removed", query, cookie, header, token)
		}
		if out.URL.RawQuery == "" {
			return
		}
		rest := "&" + query + "&" // what stays stays in order and as it was
		for part := range strings.SplitSeq(out.URL.RawQuery, "&") {
			_, after, ok := strings.Cut(rest, "&"+part+"&")
			if !ok {
				t.Fatalf("%q became %q", query, out.URL.RawQuery)
			}
			rest = "&" + after
		}
	})
}
