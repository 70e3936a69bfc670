package gateway

import (
	"strings"
	"testing"
)

func TestValidateRoutes(t *testing.T) {
	t.Parallel()
	headers := func(name string, values ...string) map[string][]string { return map[string][]string{name: values} }
	for name, tc := range map[string]struct {
		routes []Route
		want   string // "" if they are good
	}{
		"nothing to match":       {[]Route{{}}, "routes[0]: name at least one of hosts, methods, paths and headers"},
		"headers alone":          {[]Route{{Headers: headers("X-A", "1", "2")}}, ""},
		"header's expression":    {[]Route{{Headers: headers("X-A", "~*^v[0-9]$")}}, ""},
		"header's bad one":       {[]Route{{Headers: headers("X-A", "~*(")}}, "headers.X-A[0]: \"(\" is no expression of RE2: missing closing )"},
		"several, so no pattern": {[]Route{{Headers: headers("X-A", "~*(", "x")}}, ""},
		"header without values":  {[]Route{{Headers: headers("X-A")}}, "headers.X-A: name at least one value"},
		"header host":            {[]Route{{Headers: headers("host", "x")}}, "headers.host: write the name of a header other than Host"},
		"header of no name":      {[]Route{{Headers: headers("X A", "x")}}, "headers.X A: write the name of a header"},

		"expression":               {[]Route{{Paths: []string{`~/a/(?<id>\d+)$`}}}, ""},
		"expression, no slash":     {[]Route{{Paths: []string{`~^/a`}}}, `paths[0]: "~^/a": an expression starts with "~/"`},
		"expression, looks ahead":  {[]Route{{Paths: []string{`~/a(?!b)`}}}, "paths[0]: \"/a(?!b)\" is no expression of RE2: invalid or unsupported Perl syntax"},
		"expression, looks back":   {[]Route{{Paths: []string{`~/(a)\1`}}}, "is no expression of RE2: invalid escape sequence"},
		"expression, out of ours":  {[]Route{{Paths: []string{`~/a)|(.*`}}}, "is no expression of RE2"},
		"expression, too long":     {[]Route{{Paths: []string{"~/" + strings.Repeat("a", maxExpression)}}}, "is an expression of more than 1024 bytes"},
		"expression, too much":     {[]Route{{Paths: []string{"~/((a{100}){100}){100}"}}}, "is no expression of RE2: invalid repeat count"},
		"protocols":                {[]Route{{Paths: []string{"/"}, Protocols: []string{"http", "https"}, HTTPSRedirect: 308}}, ""},
		"protocol":                 {[]Route{{Paths: []string{"/"}, Protocols: []string{"https", "grpc"}}}, `protocols[1]: "grpc": expected one of: http, https`},
		"redirect":                 {[]Route{{Paths: []string{"/"}, HTTPSRedirect: 200}}, "https_redirect_status_code: expected one of: 426, 301, 302, 307, 308"},
		"same but for headers":     {[]Route{{Paths: []string{"/"}}, {Paths: []string{"/"}, Headers: headers("X-A", "1")}}, ""},
		"same headers, other case": {[]Route{{Headers: headers("X-A", "1", "2")}, {Headers: headers("x-a", "2", "1")}}, "routes[1]: matches the same requests as services[0].routes[0]"},
		"same expression":          {[]Route{{Paths: []string{"~/a"}}, {Paths: []string{"/x", "~/a"}}}, "routes[1]: matches the same requests as services[0].routes[0]"},
		"slash at the end counts":  {[]Route{{Paths: []string{"~/a"}}, {Paths: []string{"~/a/"}}}, ""},
		"same host, other port":    {[]Route{{Hosts: []string{"h:80"}}, {Hosts: []string{"h:81", "h"}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{Services: []Service{{Name: "s", URL: "http://h", Routes: tc.routes}}}
			for i := range tc.routes {
				cfg.Services[0].Routes[i].Name = string(rune('a' + i))
			}
			err := cfg.Validate()
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Fatalf("Validate() = %v, want %q", err, tc.want)
			}
			if err != nil {
				return
			}
			if _, err := New(t.Context(), Options{Config: cfg}); err != nil {
				t.Errorf("what is valid cannot be used: %v", err)
			}
		})
	}
}
