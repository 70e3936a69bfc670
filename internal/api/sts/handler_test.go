package sts

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/token"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

const form = "application/x-www-form-urlencoded; charset=UTF-8"

// directory has an app for each identity mode, all with the secret "right".
type directory map[app.ID]*app.App

func (d directory) Find(id app.ID) (*app.App, bool) {
	a, ok := d[id]
	return a, ok
}

func (d directory) Authenticate(_ context.Context, id app.ID, given secret.Bytes, _ time.Time) (*app.App, error) {
	if a, ok := d[id]; ok && !a.Disabled && given.Equal(secret.FromString("right")) {
		return a, nil
	}
	if id == "app_far" { // its secret lies with a provider that does not answer
		return nil, &fault.Error{Kind: fault.Unavailable, Msg: "try again", RetryAfter: 10 * time.Second}
	}
	return nil, fault.New(fault.Unauthenticated, "client authentication failed")
}

func (d directory) AllowsOrigin(origin string) bool {
	for _, a := range d {
		for _, o := range a.Origins {
			if o == origin && !a.Disabled {
				return true
			}
		}
	}
	return false
}

func (d directory) AllowsCookies(origin string) bool {
	for _, a := range d {
		if app.ListsOrigin(a.Origins, origin) && len(a.Cookies) > 0 && !a.Disabled {
			return true
		}
	}
	return false
}

// clerk writes down what it is asked to sign.
type clerk struct {
	asked token.SessionRequest
	err   error
}

func (c *clerk) Session(_ context.Context, r token.SessionRequest) (string, error) {
	c.asked = r
	return "signed", c.err
}

func (c *clerk) SessionAudience(a *app.App) string {
	if a.Audience != "" {
		return a.Audience
	}
	return "https://chat.example"
}

// guard knows one access token.
type guard struct{ err error }

func (g *guard) Subject(_ context.Context, accessToken string, _ app.ID) (string, error) {
	if g.err != nil {
		return "", g.err
	}
	if accessToken != "good" {
		return "", errors.New("signature is wrong")
	}
	return "usr_ada", nil
}

type fixture struct {
	http.Handler
	*clerk
	*guard
	observed []error
}

func open(t *testing.T, edit ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{clerk: &clerk{}, guard: &guard{}}
	c := Config{
		Apps: directory{
			"app_anon":  {ID: "app_anon", Identity: app.Anonymous, Origins: []string{"https://anon.example"}},
			"app_token": {ID: "app_token", Identity: app.Token, Origins: []string{"https://token.example"}},
			"app_trust": {ID: "app_trust", Identity: app.Trusted},
			"app_net": {
				ID: "app_net", Identity: app.Trusted, Audience: "https://net.example",
				TrustedNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			},
			"app_near": {ID: "app_near", Identity: app.Token, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
			"app_tls":  {ID: "app_tls", Identity: app.Anonymous, HTTPSOnly: true, Origins: []string{"https://tls.example"}},
			"app_off":  {ID: "app_off", Identity: app.Anonymous, Disabled: true, Origins: []string{"https://off.example"}},
		},
		Issuer: f.clerk, Verifier: f.guard, ClientAddr: httpx.ClientAddr(nil),
		PerAddr: limit.New(limit.Rate{}, 0), PerApp: limit.New(limit.Rate{}, 0), PerIdentity: limit.New(limit.Rate{}, 0),
		Secure:  httpx.Secure([]netip.Prefix{netip.MustParsePrefix("192.0.2.80/32")}),
		Observe: func(_ app.Identity, err error) { f.observed = append(f.observed, err) },
		Clock:   func() time.Time { return noon },
	}
	for _, e := range edit {
		e(&c)
	}
	mux := http.NewServeMux()
	mux.Handle("/", httpx.Handler(httpx.NotFound)) // as the server has it
	New(c).Mount(mux)
	f.Handler = mux
	return f
}

func (f *fixture) post(t *testing.T, media, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	ctx := httpx.WithLog(t.Context(), slog.New(slog.DiscardHandler))
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/sts", strings.NewReader(body))
	r.Header.Set("Content-Type", media)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "From" {
			r.RemoteAddr = header[i+1] + ":1234"
		}
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// Nobody is told that a secret is wrong which nobody can read.
func TestSecretOutOfReach(t *testing.T) {
	t.Parallel()
	w := open(t).post(t, form, "clientId=app_far&clientSecret=right")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "10" {
		t.Errorf("%d %s, Retry-After %q", w.Code, w.Body, w.Header().Get("Retry-After"))
	}
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ media, body string }{
		"Kore's form":   {form, "clientId=app_anon&clientSecret=&identity=&aud=&isAnonymous=false"},
		"OAuth's names": {form, "client_id=app_anon&client_secret=right"},
		"both the same": {form, "client_id=app_anon&clientId=app_anon"},
		"JSON":          {"application/json", `{"clientId":"app_anon","isAnonymous":true,"other":[1]}`},
		"JSON, text":    {"application/json; charset=utf-8", `{"client_id":"app_anon","isAnonymous":"true"}`},
		"JSON, nulls":   {"application/json", `{"client_id":"app_anon","isAnonymous":null,"identity":null,"aud":""}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			w := f.post(t, tc.media, tc.body)
			if w.Code != http.StatusOK || w.Body.String() != `{"jwt":"signed"}` {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control = %q", got)
			}
			if f.asked.App.ID != "app_anon" || !f.asked.Anonymous || !strings.HasPrefix(f.asked.Subject, "anon_") || len(f.asked.Subject) < 31 {
				t.Errorf("signed %+v", f.asked)
			}
			first := f.asked.Subject
			f.post(t, tc.media, tc.body)
			if f.asked.Subject == first {
				t.Error("two anonymous visitors are one subject")
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	const anonymous = "anonymous"
	for name, tc := range map[string]struct {
		body   string
		bearer string
		from   string
		status int
		want   string // the subject that is signed
	}{
		"anonymous app, no identity":      {body: "clientId=app_anon", status: 200, want: anonymous},
		"anonymous app, identity":         {body: "clientId=app_anon&identity=ada", status: 403},
		"anonymous app, identity, secret": {body: "clientId=app_anon&identity=ada&clientSecret=right", status: 403},
		"anonymous app, identity, token":  {body: "clientId=app_anon&identity=usr_ada", bearer: "Bearer good", status: 403},
		"anonymous wins":                  {body: "clientId=app_anon&identity=ada&isAnonymous=true", status: 200, want: anonymous},
		"anonymous app, wrong secret":     {body: "clientId=app_anon&clientSecret=wrong", status: 401},

		"token app, nothing":               {body: "clientId=app_token", status: 200, want: anonymous},
		"token app, token":                 {body: "clientId=app_token", bearer: "Bearer good", status: 200, want: "usr_ada"},
		"token app, token, same identity":  {body: "clientId=app_token&identity=usr_ada", bearer: "bearer good", status: 200, want: "usr_ada"},
		"token app, token, other identity": {body: "clientId=app_token&identity=usr_eve", bearer: "Bearer good", status: 401},
		"token app, bad token":             {body: "clientId=app_token&identity=usr_ada", bearer: "Bearer bad", status: 401},
		"token app, bad token alone":       {body: "clientId=app_token", bearer: "Bearer bad", status: 401},
		"token app, identity alone":        {body: "clientId=app_token&identity=usr_ada", status: 401},
		"token app, identity, secret":      {body: "clientId=app_token&identity=usr_ada&clientSecret=right", status: 401},
		"token app, Basic":                 {body: "clientId=app_token&identity=usr_ada", bearer: "Basic good", status: 401},
		"token app, anonymous by choice":   {body: "clientId=app_token&isAnonymous=true", bearer: "Bearer good", status: 200, want: anonymous},

		"trusted app, nothing":           {body: "clientId=app_trust", status: 200, want: anonymous},
		"trusted app, secret":            {body: "clientId=app_trust&clientSecret=right&identity=ada%40example.com", status: 200, want: "ada@example.com"},
		"trusted app, no secret":         {body: "clientId=app_trust&identity=ada", status: 401},
		"trusted app, wrong secret":      {body: "clientId=app_trust&clientSecret=wrong&identity=ada", status: 401},
		"trusted app, token":             {body: "clientId=app_trust&identity=usr_ada", bearer: "Bearer good", status: 401},
		"trusted app, inside network":    {body: "clientId=app_net&clientSecret=right&identity=ada", from: "10.1.2.3", status: 200, want: "ada"},
		"trusted app, outside network":   {body: "clientId=app_net&clientSecret=right&identity=ada", from: "192.0.2.1", status: 401},
		"trusted app, outside, no name":  {body: "clientId=app_net&clientSecret=right", from: "192.0.2.1", status: 200, want: anonymous},
		"trusted app, forged forwarding": {body: "clientId=app_net&clientSecret=right&identity=ada", from: "192.0.2.1", status: 401},

		"near app, inside":             {body: "clientId=app_near", from: "10.1.2.3", status: 200, want: anonymous},
		"near app, inside, token":      {body: "clientId=app_near", bearer: "Bearer good", from: "10.1.2.3", status: 200, want: "usr_ada"},
		"near app, outside":            {body: "clientId=app_near", from: "192.0.2.1", status: 401},
		"near app, outside, token":     {body: "clientId=app_near", bearer: "Bearer good", from: "192.0.2.1", status: 401},
		"near app, outside, secret":    {body: "clientId=app_near&clientSecret=right", from: "192.0.2.1", status: 401},
		"near app, outside, by choice": {body: "clientId=app_near&isAnonymous=true", from: "192.0.2.1", status: 401},

		"unknown app":              {body: "clientId=app_nobody", status: 401},
		"unknown app, secret":      {body: "clientId=app_nobody&clientSecret=right", status: 401},
		"disabled app":             {body: "clientId=app_off", status: 401},
		"disabled app, secret":     {body: "clientId=app_off&clientSecret=right", status: 401},
		"identity with a control":  {body: "clientId=app_trust&clientSecret=right&identity=a%00", status: 400},
		"identity of broken UTF-8": {body: "clientId=app_trust&clientSecret=right&identity=a%ff", status: 400},
		"identity of 257 bytes":    {body: "clientId=app_trust&clientSecret=right&identity=" + strings.Repeat("a", 257), status: 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			if tc.from == "" {
				tc.from = "192.0.2.9"
			}
			w := f.post(t, form, tc.body, "Authorization", tc.bearer, "From", tc.from, "X-Forwarded-For", "10.0.0.1")
			if w.Code != tc.status {
				t.Fatalf("%d %s, want %d", w.Code, w.Body, tc.status)
			}
			switch got := f.asked.Subject; {
			case tc.want == anonymous && (!f.asked.Anonymous || !strings.HasPrefix(got, "anon_")):
				t.Errorf("signed %+v, want an anonymous subject", f.asked)
			case tc.want != anonymous && (got != tc.want || f.asked.Anonymous):
				t.Errorf("signed %+v, want %q", f.asked, tc.want)
			}
			if tc.status == http.StatusUnauthorized {
				const want = `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"authentication failed","code":"unauthenticated"}`
				if w.Body.String() != want {
					t.Errorf("a refusal looks different: %s", w.Body)
				}
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		media, body string
		status      int
		field       string
	}{
		"no client":           {form, "identity=x", 400, "clientId"},
		"empty body":          {form, "", 400, "clientId"},
		"no JSON":             {"application/json", `{`, 400, ""},
		"list":                {"application/json", `[]`, 400, ""},
		"two values of one":   {form, "clientId=app_anon&identity=a&identity=b", 400, "identity"},
		"two members of one":  {"application/json", `{"clientId":"app_anon","identity":"a","identity":"b"}`, 400, "identity"},
		"look-alike members":  {"application/json", `{"clientId":"app_anon","ClientID":"app_trust"}`, 400, "ClientID"},
		"two clients":         {form, "clientId=app_anon&client_id=app_trust", 400, "clientId"},
		"two secrets":         {form, "clientId=app_anon&clientSecret=right&client_secret=wrong", 400, "clientSecret"},
		"number as client":    {"application/json", `{"clientId":1}`, 400, "clientId"},
		"number as anonymous": {"application/json", `{"clientId":"app_anon","isAnonymous":1}`, 400, "isAnonymous"},
		"text as anonymous":   {form, "clientId=app_anon&isAnonymous=yes", 400, "isAnonymous"},
		"broken escape":       {form, "clientId=%zz", 400, ""},
		"semicolon":           {form, "clientId=app_anon;identity=x", 400, ""},
		"other audience":      {form, "clientId=app_anon&aud=https://evil.example", 400, "aud"},
		"broken audience":     {form, "clientId=app_anon&clientSecret=right&aud=%ff", 400, "aud"},
		"text/plain":          {"text/plain", "clientId=app_anon", 415, ""},
		"no content type":     {"", "clientId=app_anon", 415, ""},
		"multipart":           {"multipart/form-data; boundary=x", "clientId=app_anon", 415, ""},
		"too long":            {form, "clientId=app_anon&x=" + strings.Repeat("a", maxBody), 413, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			w := f.post(t, tc.media, tc.body)
			var p httpx.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatalf("%v in %s", err, w.Body)
			}
			if w.Code != tc.status || p.Field != tc.field {
				t.Errorf("%d %s, want %d of %q", w.Code, w.Body, tc.status, tc.field)
			}
			if f.asked.App != nil {
				t.Error("something was signed")
			}
		})
	}
}

func TestAudience(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"clientId=app_anon&aud=":                                         "",
		"clientId=app_anon&aud=https://chat.example":                     "https://chat.example",
		"clientId=app_net&aud=https://net.example":                       "https://net.example",
		"clientId=app_trust&clientSecret=right&aud=https://idproxy.test": "https://idproxy.test",
	} {
		f := open(t)
		if w := f.post(t, form, body); w.Code != http.StatusOK || f.asked.Audience != want {
			t.Errorf("%s: %d, aud %q, want %q", body, w.Code, f.asked.Audience, want)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		origin, body string
		readable     bool
	}{
		"own origin":                    {"https://anon.example", "clientId=app_anon", true},
		"own origin, refused":           {"https://anon.example", "clientId=app_anon&identity=ada", true},
		"another app's origin":          {"https://token.example", "clientId=app_anon", false},
		"nobody's origin":               {"https://evil.example", "clientId=app_anon", false},
		"null":                          {"null", "clientId=app_anon", false},
		"origin in capitals":            {"https://ANON.example", "clientId=app_anon", false},
		"disabled app's origin":         {"https://off.example", "clientId=app_off", false},
		"some app's origin, no app yet": {"https://anon.example", "isAnonymous=7", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t).post(t, form, tc.body, "Origin", tc.origin)
			want := ""
			if tc.readable {
				want = tc.origin
			}
			if got := w.Header().Get("Access-Control-Allow-Origin"); got != want {
				t.Errorf("Access-Control-Allow-Origin = %q, want %q", got, want)
			}
			if w.Header().Get("Vary") != "Origin" || w.Header().Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("headers = %v", w.Header())
			}
		})
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	f := open(t)
	for origin, allowed := range map[string]bool{
		"https://anon.example": true, "https://token.example": true, "https://off.example": false, "https://evil.example": false,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodOptions, "/sts", nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		h := w.Header()
		if w.Code != http.StatusNoContent || (h.Get("Access-Control-Allow-Origin") == origin) != allowed ||
			(h.Get("Access-Control-Allow-Methods") == "POST") != allowed || !strings.Contains(h.Get("Vary"), "Origin") {
			t.Errorf("%s: %d %v", origin, w.Code, h)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodOptions, "/sts", nil)
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	if w.Code != http.StatusNoContent || w.Header().Get("Allow") != "POST, OPTIONS" {
		t.Errorf("OPTIONS that is no preflight: %d %v", w.Code, w.Header())
	}
}

func TestOtherMethods(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/sts?clientId=app_anon", nil)
	w := httptest.NewRecorder()
	open(t).ServeHTTP(w, r)
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST, OPTIONS" {
		t.Errorf("GET: %d %v", w.Code, w.Header())
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	two := limit.Rate{N: 2, Per: time.Minute}
	for name, tc := range map[string]struct {
		edit        func(*Config)
		other, free string // a request that is not limited, and one that is
	}{
		"per address": {func(c *Config) { c.PerAddr = limit.New(two, 10) }, "192.0.2.1", ""},
		"per app":     {func(c *Config) { c.PerApp = limit.New(two, 10) }, "192.0.2.2", "app_token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t, tc.edit)
			for range 2 {
				if w := f.post(t, form, "clientId=app_anon", "From", "192.0.2.2"); w.Code != http.StatusOK {
					t.Fatalf("under the limit: %d %s", w.Code, w.Body)
				}
			}
			w := f.post(t, form, "clientId=app_anon", "From", "192.0.2.2")
			if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "60" {
				t.Errorf("over the limit: %d %v", w.Code, w.Header())
			}
			client := "app_anon"
			if tc.free != "" {
				client = tc.free
			}
			if w := f.post(t, form, url.Values{"clientId": {client}}.Encode(), "From", tc.other); w.Code != http.StatusOK {
				t.Errorf("another one: %d %s", w.Code, w.Body)
			}
		})
	}
}

// TestLimitsCountWhoMay: those who are refused for where they are do not use up the share of
// those who are not.
func TestLimitsCountWhoMay(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) { c.PerApp = limit.New(limit.Rate{N: 1, Per: time.Minute}, 10) })
	for _, tc := range []struct {
		from string
		want int
	}{
		{"192.0.2.1", http.StatusUnauthorized},
		{"192.0.2.1", http.StatusUnauthorized},
		{"10.1.2.3", http.StatusOK},
		{"10.1.2.3", http.StatusTooManyRequests},
	} {
		if w := f.post(t, form, "clientId=app_near", "From", tc.from); w.Code != tc.want {
			t.Errorf("from %s: %d, want %d", tc.from, w.Code, tc.want)
		}
	}
}

func TestTemporaryFaults(t *testing.T) {
	t.Parallel()
	busy := &fault.Error{Kind: fault.Unavailable, Msg: "busy", RetryAfter: time.Second}
	f := open(t)
	f.guard.err = busy
	if w := f.post(t, form, "clientId=app_token", "Authorization", "Bearer good"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("busy verifier: %d %s", w.Code, w.Body)
	}
	f.clerk.err = busy
	if w := f.post(t, form, "clientId=app_anon"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
		t.Errorf("busy signer: %d %s", w.Code, w.Body)
	}
	if len(f.observed) != 2 || f.observed[0] == nil || f.observed[1] == nil {
		t.Errorf("observed %v", f.observed)
	}
}

// unsigned is whoever an issuer asks, while nobody can sign.
type unsigned struct {
	families
	err error
}

// families are those of refresh tokens, which /sts does not issue.
type families interface {
	AddFamily(ctx context.Context, f token.Family) error
	Family(ctx context.Context, id token.FamilyID) (token.Family, error)
	RotateFamily(ctx context.Context, id token.FamilyID, old, next [32]byte, expires, now time.Time) (bool, error)
	RevokeFamily(ctx context.Context, id token.FamilyID, now time.Time) error
}

func (u unsigned) Sign(context.Context, key.SetName, jose.Algorithm, string, []byte) (string, error) {
	return "", u.err
}

func (u unsigned) SigningKey(context.Context, *app.App, time.Time) (*jose.Key, error) {
	return nil, u.err
}

func (u unsigned) Active(context.Context, string) (bool, error) { return false, u.err }

// TestSignerOutage: callers are told when to come back, and nothing of the cause.
func TestSignerOutage(t *testing.T) {
	t.Parallel()
	away := unsigned{err: &fault.Error{
		Kind: fault.Unavailable, Msg: "keys are out of reach", RetryAfter: 5 * time.Second, Err: errors.New("kms.internal:443"),
	}}
	issuer, err := token.New(token.Config{
		Issuer: "https://id.example", AccessTTL: time.Minute, RefreshTTL: time.Minute, SessionTTL: time.Minute,
		Keys: away, Apps: away, Subjects: away, Families: away, Revocations: revocation.New(revocation.Config{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	f := open(t, func(c *Config) { c.Issuer = issuer })
	w := f.post(t, form, "clientId=app_anon")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "5" || strings.Contains(w.Body.String(), "kms") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(true, `{"clientId":"app_anon","isAnonymous":"false"}`)
	f.Add(false, "clientId=app_anon&clientSecret=&identity=&aud=&isAnonymous=false")
	f.Fuzz(func(t *testing.T, isJSON bool, body string) {
		media := form
		if isJSON {
			media = "application/json"
		}
		fx := open(t)
		w := fx.post(t, media, body)
		if w.Code >= 500 {
			t.Errorf("%d for %q", w.Code, body)
		}
		if w.Code == http.StatusOK && !fx.asked.Anonymous && fx.asked.App.Identity != app.Trusted {
			t.Errorf("%q was signed for %q without proof", body, fx.asked.Subject)
		}
	})
}

func TestHTTPSOnly(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body, from, proto string
		status            int
	}{
		"plain":                         {"clientId=app_tls", "192.0.2.9", "", 403},
		"plain, right secret":           {"clientId=app_tls&clientSecret=right", "192.0.2.9", "", 403},
		"plain, another app":            {"clientId=app_anon", "192.0.2.9", "", 200},
		"of this machine":               {"clientId=app_tls", "127.0.0.1", "", 200},
		"the proxy says https":          {"clientId=app_tls", "192.0.2.80", "https", 200},
		"the proxy says http":           {"clientId=app_tls", "192.0.2.80", "http", 403},
		"somebody says https":           {"clientId=app_tls", "192.0.2.9", "https", 403},
		"plain, wrong secret: as usual": {"clientId=app_tls&clientSecret=wrong", "192.0.2.9", "", 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			header := []string{"From", tc.from, "Origin", "https://tls.example"}
			if tc.proto != "" {
				header = append(header, "X-Forwarded-Proto", tc.proto)
			}
			w := f.post(t, form, tc.body, header...)
			if w.Code != tc.status {
				t.Fatalf("%d %s, want %d", w.Code, w.Body, tc.status)
			}
			if tc.status == http.StatusForbidden && w.Header().Get("Access-Control-Allow-Origin") == "" {
				t.Error("the app's page cannot read why")
			}
			if (f.asked.App != nil) != (tc.status == http.StatusOK) {
				t.Errorf("signed %+v", f.asked)
			}
		})
	}
}

// TestLimitPerIdentity: an identity uses up its own share alone, and nobody can who is
// not believed to be it.
func TestLimitPerIdentity(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) { c.PerIdentity = limit.New(limit.Rate{N: 2, Per: time.Minute}, 16) })
	ada := "clientId=app_trust&clientSecret=right&identity=ada"
	for i, tc := range []struct {
		body   string
		status int
	}{
		{"clientId=app_trust&clientSecret=wrong&identity=ada", 401},
		{"clientId=app_trust&identity=ada", 401},
		{"clientId=app_trust&identity=ada", 401},
		{ada, 200},
		{ada, 200},
		{ada, 429},
		{"clientId=app_trust&clientSecret=right&identity=bob", 200},
		{"clientId=app_net&clientSecret=right&identity=ada", 200}, // another app's
		{ada + "&isAnonymous=true", 200},
		{"clientId=app_anon", 200},
		{"clientId=app_anon", 200},
		{"clientId=app_anon", 200},
		{ada, 429},
	} {
		w := f.post(t, form, tc.body, "From", "10.0.0.1")
		if w.Code != tc.status {
			t.Errorf("request %d, %s: %d %s, want %d", i, tc.body, w.Code, w.Body, tc.status)
		}
		if w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") != "60" {
			t.Errorf("Retry-After = %q, want 60", w.Header().Get("Retry-After"))
		}
	}
}
