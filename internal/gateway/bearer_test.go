package gateway

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestPlacesFind(t *testing.T) {
	t.Parallel()
	j := &JWT{QueryNames: []string{"jwt", "token"}, CookieNames: []string{"silly", "crumble"}, HeaderNames: []string{"authorization", "x-token"}}
	for name, tc := range map[string]struct {
		query, cookie string
		headers       http.Header
		token         string
		verdict       verdict
	}{
		"nothing":                  {verdict: noToken},
		"query":                    {query: "jwt=a", token: "a"},
		"query among others":       {query: "x=1&&jwt=a&y", token: "a"},
		"query escaped":            {query: "%6awt=a%2Eb", token: "a.b"},
		"query with plus":          {query: "jwt=a+b", token: "a b"},
		"query with bad escape":    {query: "jwt=a%zz", token: "a%zz"},
		"query of another case":    {query: "JWT=a", verdict: noToken},
		"query with semicolon":     {query: "x=1;jwt=a", verdict: noToken},
		"empty query":              {query: "jwt=", verdict: noToken},
		"query without equals":     {query: "jwt", verdict: bareParameter},
		"twice without equals":     {query: "jwt&jwt", verdict: bareParameter},
		"with and without equals":  {query: "jwt&jwt=a", verdict: severalTokens},
		"without and with equals":  {query: "jwt=a&jwt", verdict: severalTokens},
		"second query name":        {query: "token=a", token: "a"},
		"same twice":               {query: "jwt=a&token=a&jwt=a", token: "a"},
		"two":                      {query: "jwt=a&jwt=b", verdict: severalTokens},
		"three":                    {query: "jwt=a&jwt=b&jwt=a", verdict: severalTokens},
		"cookie":                   {cookie: "x=1; crumble=a", token: "a"},
		"cookie twice":             {cookie: "silly=a; silly=b", token: "a"},
		"two cookies":              {cookie: "silly=a; crumble=b", verdict: severalTokens},
		"cookie of longer name":    {cookie: "notsilly=a", verdict: noToken},
		"cookie with equals":       {cookie: "silly=a=b", token: "a=b"},
		"cookie without equals":    {cookie: "silly", verdict: noToken},
		"query and cookie":         {query: "jwt=a", cookie: "silly=b", verdict: severalTokens},
		"header":                   {headers: http.Header{"Authorization": {"Bearer a"}}, token: "a"},
		"first of two headers":     {headers: http.Header{"Authorization": {"Bearer a", "Bearer b"}}, token: "a"},
		"second is not looked at":  {headers: http.Header{"Authorization": {"Basic x", "Bearer b"}}, verdict: noToken},
		"two header names":         {headers: http.Header{"Authorization": {"Bearer a"}, "X-Token": {"Bearer b"}}, verdict: severalTokens},
		"same in all places":       {query: "jwt=a", cookie: "silly=a", headers: http.Header{"X-Token": {"bearer a"}}, token: "a"},
		"bare query and a header":  {query: "jwt", headers: http.Header{"X-Token": {"bearer a"}}, verdict: severalTokens},
		"header without scheme":    {headers: http.Header{"X-Token": {"a"}}, verdict: noToken},
		"empty query and a header": {query: "jwt=", headers: http.Header{"X-Token": {"bearer a"}}, token: "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &request{query: tc.query, header: http.Header{}}
			for n, v := range tc.headers {
				r.header[n] = v
			}
			if tc.cookie != "" {
				r.header["Cookie"] = []string{tc.cookie}
			}
			p := newPlaces(j)
			if token, v := p.find(r); token != tc.token || v != tc.verdict {
				t.Errorf("find() = %q, %v; want %q, %v", token, v, tc.token, tc.verdict)
			}
		})
	}
}

func TestPlacesPut(t *testing.T) {
	t.Parallel()
	for name, j := range map[string]*JWT{
		"header": {},
		"query":  {HeaderNames: []string{}, QueryNames: []string{"a&b"}},
		"cookie": {HeaderNames: []string{}, QueryNames: []string{}, CookieNames: []string{"c"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, r := newPlaces(j), &request{query: "x=1", header: http.Header{}}
			p.put(r, "a.b+c")
			if token, v := p.find(r); token != "a.b+c" || v != admitted {
				t.Errorf("find() = %q, %v", token, v)
			}
		})
	}
}

// bearer is Kong's regular expression, but for tokens that are blank.
func FuzzBearer(f *testing.F) {
	for _, s := range []string{"Bearer a", "bearer  a", "BEARER a", "Token x, Bearer t", "Bearer", "Bearer ", "Bearerbearer x", "bBearer\ta b", "Bearera Bearer b", "beareR x"} {
		f.Add(s)
	}
	pattern := regexp.MustCompile(`\s*[Bb]earer\s+(.+)`)
	f.Fuzz(func(t *testing.T, header string) {
		if strings.ContainsAny(header, "\n\v") { // cannot be in a header, and \s and . of the two engines differ
			return
		}
		want := ""
		if m := pattern.FindStringSubmatch(header); m != nil {
			want = strings.TrimLeft(m[1], blanks)
		}
		if got := bearer(header); got != want {
			t.Fatalf("bearer(%q) = %q, want %q", header, got, want)
		}
	})
}
