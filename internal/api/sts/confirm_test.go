package sts

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/egress"
	"github.com/carnetproject/carnet/internal/limit"
)

// bank is an API that knows who visitors are by their cookie or their bearer token.
type bank struct {
	calls  atomic.Int32
	asked  atomic.Value // string, the body of the last call
	status int          // 0: as the visitor deserves
	body   string
}

func (b *bank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.calls.Add(1)
	doc, _ := io.ReadAll(r.Body)
	b.asked.Store(string(doc))
	var c struct{ Authorization, Sid string }
	_ = json.Unmarshal(doc, &c)
	status := b.status
	if status == 0 {
		status = http.StatusUnauthorized
		if c.Sid == "of-ann" || c.Authorization == "Bearer of-ann" {
			status = http.StatusOK
		}
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, b.body)
}

// claims maps all that a connector can be asked with into the body.
const claims = `"RequestMapping":{
	"a":{"type":"requestBody","inputPath":"$.clientId","requestBodyPath":"$.client"},
	"b":{"type":"requestBody","inputPath":"$.identity","requestBodyPath":"$.identity","optional":true},
	"c":{"type":"requestBody","inputPath":"$.authorization","requestBodyPath":"$.authorization","optional":true},
	"d":{"type":"requestBody","inputPath":"$.cookie.sid","requestBodyPath":"$.sid","optional":true},
	"e":{"type":"requestBody","inputPath":"$.origin","requestBodyPath":"$.origin","optional":true},
	"f":{"type":"requestBody","inputPath":"$.ip","requestBodyPath":"$.ip"},
	"g":{"type":"requestBody","inputPath":"$.cookie.other","requestBodyPath":"$.other","optional":true}}`

const named = `"ResponseMapping":{"i":{"type":"responseBody","responseBodyPath":"$.customer","outputPath":"$.identity"}}`

// confirmed is the service with an app whose visitors the API confirms.
func confirmed(t *testing.T, api http.Handler, members string, edit ...func(*Config)) *fixture {
	t.Helper()
	s := httptest.NewServer(api)
	t.Cleanup(s.Close)
	doc := `{"Alias":"me","Method":"POST","Endpoint":"` + s.URL + `","Body":{},"TimeoutMs":200,` + members + `}`
	c, _, err := connector.Parse([]byte(doc), connector.Options{Organization: "default", Strict: true, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	client, err := connector.NewClient(c, connector.Config{Guard: egress.Guard{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return open(t, append(edit, func(c *Config) {
		c.Apps.(directory)["app_bank"] = &app.App{
			ID: "app_bank", Identity: app.Connector, Connector: "me", Cookies: []string{"sid"}, Origins: []string{"https://bank.example"},
		}
		c.Apps.(directory)["app_gone"] = &app.App{ID: "app_gone", Identity: app.Connector, Connector: "gone"}
		c.Connector = func(alias string) (*connector.Client, bool) { return client, alias == "me" }
	})...)
}

func TestConnector(t *testing.T) {
	t.Parallel()
	const anonymous = "anonymous"
	cookie := []string{"Cookie", "sid=of-ann; other=secret"}
	page := append([]string{"Origin", "https://bank.example"}, cookie...)
	for name, tc := range map[string]struct {
		api     *bank
		mapping string
		body    string
		header  []string
		status  int
		want    string // the subject that is signed
		asked   string // the body of the call; "" if there is none
	}{
		"identity and cookie": {
			body: "identity=ann", header: page, status: 200, want: "ann",
			asked: `{"client":"app_bank","identity":"ann","sid":"of-ann","origin":"https://bank.example","ip":"192.0.2.1"}`,
		},
		"identity and bearer": {
			body: "identity=ann", header: []string{"Authorization", "Bearer of-ann"}, status: 200, want: "ann",
			asked: `{"client":"app_bank","identity":"ann","authorization":"Bearer of-ann","ip":"192.0.2.1"}`,
		},
		"the API's name": {
			api: &bank{body: `{"customer":"c-1"}`}, mapping: named, body: "identity=ann", header: cookie, status: 200, want: "c-1",
			asked: `{"client":"app_bank","identity":"ann","sid":"of-ann","ip":"192.0.2.1"}`,
		},
		"the API's number": {
			api: &bank{body: `{"customer":9007199254740993}`}, mapping: named, header: cookie, status: 200, want: "9007199254740993",
			asked: `{"client":"app_bank","sid":"of-ann","ip":"192.0.2.1"}`,
		},
		"cookie alone, nobody named": {header: cookie, status: 503, asked: `{"client":"app_bank","sid":"of-ann","ip":"192.0.2.1"}`},
		"nothing":                    {status: 200, want: anonymous},
		"other cookies":              {header: []string{"Cookie", "other=secret"}, status: 200, want: anonymous},
		"anonymous by choice":        {body: "identity=ann&isAnonymous=true", header: page, status: 200, want: anonymous},
		"identity alone":             {body: "identity=ann", status: 403, asked: `{"client":"app_bank","identity":"ann","ip":"192.0.2.1"}`},
		"wrong cookie":               {header: []string{"Cookie", "sid=of-eve"}, status: 403, asked: `{"client":"app_bank","sid":"of-eve","ip":"192.0.2.1"}`},
		"cookie twice":               {header: []string{"Cookie", "sid=of-eve; sid=of-ann"}, status: 400},
		"another page":               {body: "identity=ann", header: []string{"Origin", "https://evil.example", "Cookie", "sid=of-ann"}, status: 403},
		"no page":                    {body: "identity=ann", header: []string{"Origin", "null", "Cookie", "sid=of-ann"}, status: 403},
		"201":                        {api: &bank{status: 201}, body: "identity=ann", header: cookie, status: 503, asked: `*`},
		"404":                        {api: &bank{status: 404}, body: "identity=ann", header: cookie, status: 403, asked: `*`},
		"429":                        {api: &bank{status: 429}, body: "identity=ann", header: cookie, status: 503, asked: `*`},
		"500":                        {api: &bank{status: 500}, body: "identity=ann", header: cookie, status: 503, asked: `*`},
		"302":                        {api: &bank{status: 302}, body: "identity=ann", header: cookie, status: 503, asked: `*`},
		"200, not JSON":              {api: &bank{body: "<html>"}, mapping: named, body: "identity=ann", header: cookie, status: 503, asked: `*`},
		"no text":                    {api: &bank{body: `{"customer":["ann"]}`}, mapping: named, body: "identity=ann", header: cookie, status: 503, asked: `*`},
		"line end in the name":       {api: &bank{body: `{"customer":"a\nb"}`}, mapping: named, body: "identity=ann", header: cookie, status: 503, asked: `*`},
		"empty name":                 {api: &bank{body: `{"customer":""}`}, mapping: named, body: "identity=ann", header: cookie, status: 503, asked: `*`},
		"long identity":              {body: "identity=" + strings.Repeat("x", 257), header: cookie, status: 400},
		"wrong secret":               {body: "identity=ann&clientSecret=wrong", header: cookie, status: 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mapping := claims
			if tc.mapping != "" {
				mapping += "," + tc.mapping
			}
			api := tc.api
			if api == nil {
				api = &bank{}
			}
			f := confirmed(t, api, mapping)
			w := f.post(t, form, "clientId=app_bank&"+tc.body, tc.header...)
			if w.Code != tc.status {
				t.Fatalf("%d %s, want %d", w.Code, w.Body, tc.status)
			}
			if (w.Header().Get("Retry-After") != "") != (tc.status == 503) {
				t.Errorf("Retry-After = %q", w.Header().Get("Retry-After"))
			}
			if got := f.asked.Subject; got != tc.want && (tc.want != anonymous || !strings.HasPrefix(got, "anon_")) {
				t.Errorf("signed for %q, want %q", got, tc.want)
			}
			sent, _ := api.asked.Load().(string)
			if tc.asked == "*" && sent != "" {
				return
			}
			var got, want any
			_ = json.Unmarshal([]byte(sent), &got)
			_ = json.Unmarshal([]byte(tc.asked), &want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the API was asked (-want +got):\n%s", diff)
			}
		})
	}
}

// TestConnectorTellsNothing keeps what the API says, and how it is reached, from the page.
func TestConnectorTellsNothing(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 500} {
		f := confirmed(t, &bank{status: status, body: `{"detail":"account locked"}`}, claims)
		w := f.post(t, form, "clientId=app_bank&identity=ann", "Cookie", "sid=s3cret")
		for _, word := range []string{"locked", "127.0.0.1", "me\"", "s3cret", "connector"} {
			if strings.Contains(w.Body.String(), word) {
				t.Errorf("%d shows %q: %s", status, word, w.Body)
			}
		}
	}
}

// TestConnectorOutOfReach fails closed, and says when to come back.
func TestConnectorOutOfReach(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	slow := confirmed(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }), claims)
	t.Cleanup(func() { close(release) }) // before the server closes
	for app, f := range map[string]*fixture{"app_bank": slow, "app_gone": confirmed(t, &bank{}, claims)} {
		w := f.post(t, form, "clientId="+app+"&identity=ann")
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || f.asked.Subject != "" {
			t.Errorf("%s: %d %s, signed for %q", app, w.Code, w.Body, f.asked.Subject)
		}
	}
}

// TestConnectorCountsFirst does not ask the API for those who ask too often.
func TestConnectorCountsFirst(t *testing.T) {
	t.Parallel()
	api := &bank{}
	f := confirmed(t, api, claims, func(c *Config) { c.PerApp = limit.New(limit.Rate{N: 2, Per: time.Minute}, 10) })
	for i, want := range []int{403, 403, 429, 429} {
		if w := f.post(t, form, "clientId=app_bank&identity=ann"); w.Code != want {
			t.Errorf("request %d: %d, want %d", i, w.Code, want)
		}
	}
	if n := api.calls.Load(); n != 2 {
		t.Errorf("the API was asked %d times, want 2", n)
	}
}

func TestConnectorCORS(t *testing.T) {
	t.Parallel()
	f := confirmed(t, &bank{}, claims)
	for name, tc := range map[string]struct {
		method, app, origin string
		allowed, cookies    bool
	}{
		"preflight":               {http.MethodOptions, "", "https://bank.example", true, true},
		"preflight of another":    {http.MethodOptions, "", "https://token.example", true, false},
		"preflight of nobody":     {http.MethodOptions, "", "https://evil.example", false, false},
		"its page":                {http.MethodPost, "app_bank", "https://bank.example", true, true},
		"its page, refused":       {http.MethodPost, "app_bank&identity=eve", "https://bank.example", true, true},
		"another app by its page": {http.MethodPost, "app_anon", "https://bank.example", false, false},
		"another app's page":      {http.MethodPost, "app_token", "https://token.example", true, false},
		"a page of nobody":        {http.MethodPost, "app_bank", "https://evil.example", false, false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), tc.method, "/sts", strings.NewReader("clientId="+tc.app))
		r.Header.Set("Content-Type", form)
		r.Header.Set("Origin", tc.origin)
		if tc.method == http.MethodOptions {
			r.Header.Set("Access-Control-Request-Method", http.MethodPost)
		}
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		origin, cookies := w.Header().Get("Access-Control-Allow-Origin"), w.Header().Get("Access-Control-Allow-Credentials")
		if (origin == tc.origin) != tc.allowed || (origin != "") != tc.allowed || (cookies == "true") != tc.cookies || (cookies != "") != tc.cookies {
			t.Errorf("%s: origin %q, credentials %q", name, origin, cookies)
		}
	}
}
