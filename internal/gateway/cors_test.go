package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// accessControl is what an answer says of CORS.
func accessControl(h http.Header) map[string]string {
	out := map[string]string{}
	for name, values := range h {
		if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
			out[name] = strings.Join(values, ", ")
		}
	}
	return out
}

func maxAge(n int) *int { return &n }

func TestPreflight(t *testing.T) {
	t.Parallel()
	const all = "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT"
	for name, tc := range map[string]struct {
		cors  CORS
		lines []string
		want  map[string]string
	}{
		"by default": {CORS{}, nil, map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": all,
		}},
		"headers as asked": {CORS{}, []string{"Access-Control-Request-Headers: x-a, authorization"}, map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": all, "Access-Control-Allow-Headers": "x-a, authorization",
		}},
		"everything": {
			CORS{
				Origins: []string{"https://a.example"}, Methods: []string{"GET", "PUT"}, Headers: []string{"X-A", "X-B"},
				ExposedHeaders: []string{"X-C"}, Credentials: true, MaxAge: maxAge(0), PrivateNetwork: true,
			},
			[]string{"Access-Control-Request-Headers: x-other", "Access-Control-Request-Private-Network: true"},
			map[string]string{
				"Access-Control-Allow-Origin": "https://a.example", "Vary": "Origin", "Access-Control-Allow-Credentials": "true",
				"Access-Control-Allow-Headers": "X-A,X-B", "Access-Control-Allow-Methods": "GET,PUT", "Access-Control-Max-Age": "0",
				"Access-Control-Allow-Private-Network": "true",
			},
		},
		"another origin": {CORS{Origins: []string{"https://b.example", "https://c.example"}, Credentials: true}, nil, map[string]string{
			"Vary": "Origin", "Access-Control-Allow-Methods": all,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, server := newGateway(t, Options{Config: oneRoute(refusing(t), Plugins{CORS: &tc.cors, JWT: &JWT{}})})
			a := call(t, server, "OPTIONS", "/demo", append(tc.lines, "Origin: https://a.example", "Access-Control-Request-Method: PUT")...)
			if a.status != 200 || a.body != "" || a.header.Get("Content-Length") != "0" {
				t.Errorf("%d %q %v", a.status, a.body, a.header)
			}
			if d := cmp.Diff(tc.want, accessControl(a.header)); d != "" {
				t.Errorf("headers (-want +got):\n%s", d)
			}
		})
	}
}

// An OPTIONS request that lacks what a preflight has is one like any other.
func TestOptionsThatIsNoPreflight(t *testing.T) {
	t.Parallel()
	_, server := newGateway(t, Options{Config: oneRoute("http://h", Plugins{CORS: &CORS{}, JWT: &JWT{}})})
	for _, line := range []string{"Origin: https://a.example", "Access-Control-Request-Method: GET"} {
		if a := call(t, server, "OPTIONS", "/demo", line); a.status != 401 || a.header.Get(allowOrigin) != "*" {
			t.Errorf("%s: %d %v", line, a.status, a.header)
		}
	}
}

func TestCORSAnswers(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "upstream")
		w.Header().Set("Vary", "Accept")
		w.Header().Set("X-Method", r.Method)
	}))
	t.Cleanup(upstream.Close)
	two := []string{"https://a.example", `https://[a-z]+\.b\.example(:\d+)?`}
	no := false
	for name, tc := range map[string]struct {
		cors   CORS
		origin string
		want   map[string]string
	}{
		"any":             {CORS{}, "https://a.example", map[string]string{allowOrigin: "*", "Vary": "Accept"}},
		"any, no origin":  {CORS{Origins: []string{"*"}}, "", map[string]string{allowOrigin: "*", "Vary": "Accept"}},
		"only with one":   {CORS{AllowOriginAbsent: &no}, "", map[string]string{allowOrigin: "upstream", "Vary": "Accept"}},
		"star among some": {CORS{Origins: []string{"https://x", "*"}}, "https://a.example", map[string]string{allowOrigin: "*", "Vary": "Accept"}},
		"the one there is": {CORS{Origins: two[:1], Credentials: true, ExposedHeaders: []string{"X-A", "X-B"}}, "https://other.example", map[string]string{
			allowOrigin: "https://a.example", "Vary": "Accept, Origin", allowCredentials: "true", "Access-Control-Expose-Headers": "X-A,X-B",
		}},
		"first of two":     {CORS{Origins: two, Credentials: true}, "https://a.example", map[string]string{allowOrigin: "https://a.example", "Vary": "Accept, Origin", allowCredentials: "true"}},
		"by expression":    {CORS{Origins: two}, "https://x.b.example:8443", map[string]string{allowOrigin: "https://x.b.example:8443", "Vary": "Accept, Origin"}},
		"default port":     {CORS{Origins: two}, "https://a.example:443", map[string]string{allowOrigin: "https://a.example", "Vary": "Accept, Origin"}},
		"neither":          {CORS{Origins: two, Credentials: true}, "https://x.b.example.evil", map[string]string{"Vary": "Accept, Origin"}},
		"several, nobody":  {CORS{Origins: two}, "", map[string]string{"Vary": "Accept, Origin"}},
		"null":             {CORS{Origins: two}, "null", map[string]string{"Vary": "Accept, Origin"}},
		"null, by name":    {CORS{Origins: append([]string{"null"}, two...)}, "null", map[string]string{allowOrigin: "null", "Vary": "Accept, Origin"}},
		"host, expression": {CORS{Origins: []string{`(.+\.)?a\.example`}}, "http://x.a.example:81", map[string]string{allowOrigin: "http://x.a.example:81", "Vary": "Accept, Origin"}},
		"host, not all":    {CORS{Origins: []string{`a\.example`}}, "http://a.example.evil", map[string]string{"Vary": "Accept, Origin"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, server := newGateway(t, Options{Config: oneRoute(upstream.URL, Plugins{CORS: &tc.cors})})
			var lines []string
			if tc.origin != "" {
				lines = []string{"Origin: " + tc.origin}
			}
			a := call(t, server, "GET", "/demo", lines...)
			if d := cmp.Diff(tc.want, accessControl(a.header)); a.status != 200 || d != "" {
				t.Errorf("%d, headers (-want +got):\n%s", a.status, d)
			}
		})
	}
	t.Run("preflight_continue", func(t *testing.T) {
		t.Parallel()
		_, server := newGateway(t, Options{Config: oneRoute(upstream.URL, Plugins{CORS: &CORS{PreflightContinue: true}})})
		a := call(t, server, "OPTIONS", "/demo", "Origin: https://a.example", "Access-Control-Request-Method: PUT")
		if a.header.Get("X-Method") != "OPTIONS" || a.header.Get(allowOrigin) != "upstream" {
			t.Errorf("%d %v, want the upstream's own answer", a.status, a.header)
		}
	})
}

// A page learns why it was refused.
func TestCORSOfRefusals(t *testing.T) {
	t.Parallel()
	cors := &CORS{Origins: []string{"https://a.example", "https://b.example"}}
	_, server := newGateway(t, Options{Config: oneRoute("http://h", Plugins{CORS: cors, JWT: &JWT{}})})
	a := call(t, server, "GET", "/demo", "Origin: https://b.example")
	want := map[string]string{allowOrigin: "https://b.example", "Vary": "Origin"}
	if d := cmp.Diff(want, accessControl(a.header)); a.status != 401 || d != "" {
		t.Errorf("%d (-want +got):\n%s", a.status, d)
	}
}

func TestParseOrigin(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{
		"https://A.example":         {"https://a.example", "a.example"},
		"https://a.example:443":     {"https://a.example", "a.example"},
		"http://a.example:80":       {"http://a.example", "a.example"},
		"http://a.example:443":      {"http://a.example:443", "a.example"},
		"http://[::1]:80":           {"http://[::1]", "::1"},
		"chrome-extension://abc":    {"chrome-extension://abc", "abc"},
		"null":                      {},
		"":                          {},
		"a.example":                 {},
		"https://":                  {},
		"https://a.example/":        {},
		"https://a.example/x":       {},
		"https://a.example?x":       {},
		"https://a.example#x":       {},
		"https://u@a.example":       {},
		"https://a.example\\@b.com": {},
		"https://a b":               {},
		"//a.example":               {},
	} {
		origin, host, ok := parseOrigin(in)
		if [2]string{origin, host} != want || ok != (want != [2]string{}) {
			t.Errorf("parseOrigin(%q) = %q, %q, %v; want %q", in, origin, host, ok, want)
		}
	}
}

// What is echoed is an origin that a rule is for.
func FuzzCORSOrigin(f *testing.F) {
	for _, o := range []string{"https://a.example", "https://x.a.example:8443", "null", "https://a.example.evil", "HTTPS://A.EXAMPLE", "https://evil#.a.example"} {
		f.Add(o)
	}
	s, err := newCORSStage(&CORS{Origins: []string{"https://a.example", `https://[a-z.]+\.a\.example(:\d+)?`}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		got := s.match(origin)
		if got == "" {
			return
		}
		if again, host, ok := parseOrigin(got); !ok || again != got || host != "a.example" && !strings.HasSuffix(host, ".a.example") {
			t.Errorf("%q is answered with %q", origin, got)
		}
	})
}

func TestValidateCORS(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cors CORS
		want string
	}{
		"nothing":                 {CORS{}, ""},
		"credentials, named":      {CORS{Origins: []string{"https://a", `https://b\.(c|d)`}, Credentials: true}, ""},
		"credentials, any":        {CORS{Credentials: true}, "credentials"},
		"credentials, star":       {CORS{Origins: []string{"https://a", "*"}, Credentials: true}, "credentials"},
		"credentials, expression": {CORS{Origins: []string{".*"}, Credentials: true}, "credentials"},
		"credentials, https":      {CORS{Origins: []string{"https?://.*"}, Credentials: true}, "credentials"},
		"credentials, null":       {CORS{Origins: []string{"https://a", "null"}, Credentials: true}, "credentials"},
		"credentials, null, too":  {CORS{Origins: []string{"[a-z]+"}, Credentials: true}, "credentials"},
		"expression":              {CORS{Origins: []string{"(?=a)"}}, "origins[0]"},
		"empty":                   {CORS{Origins: []string{"https://a", ""}}, "origins[1]"},
		"max age":                 {CORS{MaxAge: maxAge(-1)}, "max_age"},
		"method":                  {CORS{Methods: []string{"GET", "a b"}}, "methods[1]"},
		"header":                  {CORS{Headers: []string{"X-A\r\n"}}, "headers[0]"},
		"exposed":                 {CORS{ExposedHeaders: []string{""}}, "exposed_headers[0]"},
	} {
		cfg := oneRoute("http://h", Plugins{CORS: &tc.cors})
		err := cfg.Validate()
		if at := "services[0].routes[0].plugins.cors." + tc.want; tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), at)) {
			t.Errorf("%s: Validate() = %v, want a fault of %q", name, err, tc.want)
		}
	}
	cfg := oneRoute("http://h", Plugins{})
	cfg.Consumers[0].Plugins.CORS = &CORS{}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "consumers[0].plugins.cors") {
		t.Errorf("on a consumer: %v", err)
	}
}
