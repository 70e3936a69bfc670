package oauth

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/token"
)

// basicHeader is the header as RFC 6749 §2.3.1 has it: both parts form-encoded.
func basicHeader(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

const inBody = "&client_id=app_web&client_secret=right%2B%25"

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	f := open(t)
	for name, tc := range map[string]struct {
		body, header  string
		client, scope string
		alg           jose.Algorithm
	}{
		"in the body":          {"grant_type=client_credentials" + inBody, "", "app_web", "read write", jose.EdDSA},
		"in the header":        {"grant_type=client_credentials", basicHeader("app_web", "right+%"), "app_web", "read write", jose.EdDSA},
		"header and client_id": {"grant_type=client_credentials&client_id=app_web", basicHeader("app_web", "right+%"), "app_web", "read write", jose.EdDSA},
		"encoded id":           {"grant_type=client_credentials", basicHeader("app_b+%", "right+%"), "app_b+%", "", jose.ES256},
		"less scope":           {"grant_type=client_credentials&scope=write" + inBody, "", "app_web", "write", jose.EdDSA},
		"unknown parameter":    {"grant_type=client_credentials&color=x" + inBody, "", "app_web", "read write", jose.EdDSA},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := []string{}
			if tc.header != "" {
				header = []string{"Authorization", tc.header}
			}
			a := granted(t, f.form(t, "/oauth2/token", tc.body, header...))
			if a.RefreshToken != "" || a.Scope != tc.scope {
				t.Errorf("answer = %+v", a)
			}
			want := map[string]any{
				"iss": issuerURL, "aud": issuerURL, "sub": tc.client, "client_id": tc.client,
				"iat": float64(noon.Unix()), "exp": float64(noon.Add(15 * time.Minute).Unix()),
			}
			if tc.scope != "" {
				want["scope"] = tc.scope
			}
			if diff := cmp.Diff(want, f.claimsOf(t, a.AccessToken, tc.alg)); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTokenRefuses(t *testing.T) {
	t.Parallel()
	const cc = "grant_type=client_credentials"
	good := basicHeader("app_web", "right+%")
	for name, tc := range map[string]struct {
		body      string
		header    []string // of Authorization
		status    int
		code      string
		challenge bool
	}{
		"empty":                      {"", nil, 400, "invalid_request", false},
		"no grant":                   {"scope=x" + inBody, nil, 400, "invalid_request", false},
		"password grant":             {"grant_type=password&username=ada&password=correct+horse" + inBody, nil, 400, "unsupported_grant_type", false},
		"code grant":                 {"grant_type=authorization_code&code=x" + inBody, nil, 400, "unauthorized_client", false},
		"grant twice":                {cc + "&" + cc + inBody, nil, 400, "invalid_request", false},
		"unknown parameter twice":    {cc + "&x=1&x=2" + inBody, nil, 400, "invalid_request", false},
		"broken form":                {"grant_type=%zz", nil, 400, "invalid_request", false},
		"no client":                  {cc, nil, 401, "invalid_client", false},
		"client without secret":      {cc + "&client_id=app_web", nil, 401, "invalid_client", false},
		"secret without client":      {cc + "&client_secret=right%2B%25", nil, 401, "invalid_client", false},
		"wrong secret":               {cc + "&client_id=app_web&client_secret=wrong", nil, 401, "invalid_client", false},
		"unknown client":             {cc + "&client_id=app_nobody&client_secret=right%2B%25", nil, 401, "invalid_client", false},
		"disabled client":            {cc, []string{basicHeader("app_off", "right+%")}, 401, "invalid_client", true},
		"wrong secret in the header": {cc, []string{basicHeader("app_web", "wrong")}, 401, "invalid_client", true},
		"secret not form-encoded":    {cc, []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("app_web:right+%"))}, 401, "invalid_client", true},
		"Bearer":                     {cc, []string{"Bearer x"}, 401, "invalid_client", true},
		"broken Basic":               {cc, []string{"Basic !"}, 401, "invalid_client", true},
		"secret out of reach":        {cc, []string{basicHeader("app_far", "right+%")}, 503, "temporarily_unavailable", false},
		"public client":              {cc + "&client_id=app_spa", nil, 400, "unauthorized_client", false},
		"public client, a secret":    {cc + "&client_id=app_spa&client_secret=right%2B%25", nil, 401, "invalid_client", false},
		"public client, Basic":       {cc, []string{basicHeader("app_spa", "")}, 401, "invalid_client", true},
		"public client, disabled":    {"grant_type=refresh_token&refresh_token=rt_x&client_id=app_old", nil, 401, "invalid_client", false},
		"two headers":                {cc, []string{good, good}, 400, "invalid_request", false},
		"two ways":                   {cc + "&client_secret=right%2B%25", []string{good}, 400, "invalid_request", false},
		"another client_id":          {cc + "&client_id=app_off", []string{good}, 400, "invalid_request", false},
		"wide scope":                 {cc + "&scope=admin" + inBody, nil, 400, "invalid_scope", false},
		"broken scope":               {cc + "&scope=%22" + inBody, nil, 400, "invalid_scope", false},
		"no refresh token":           {"grant_type=refresh_token" + inBody, nil, 400, "invalid_request", false},
		"malformed refresh token":    {"grant_type=refresh_token&refresh_token=rt_x" + inBody, nil, 400, "invalid_grant", false},
		"malformed, public":          {"grant_type=refresh_token&refresh_token=rt_x", nil, 400, "invalid_grant", false},
		"too long":                   {cc + "&x=" + strings.Repeat("x", maxBody), nil, 413, "invalid_request", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var header []string
			for _, h := range tc.header {
				header = append(header, "Authorization", h)
			}
			w := open(t).form(t, "/oauth2/token", tc.body, header...)
			refused(t, w, tc.status, tc.code)
			if got := strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Basic "); got != tc.challenge {
				t.Errorf("WWW-Authenticate = %q", w.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

func TestTokenTakesFormsOnly(t *testing.T) {
	t.Parallel()
	f := open(t)
	refused(t, f.do(t, http.MethodPost, "/oauth2/token", `{"grant_type":"client_credentials"}`, "Content-Type", "application/json"), 400, "invalid_request")
	refused(t, f.form(t, "/oauth2/token?grant_type=client_credentials"+inBody, ""), 400, "invalid_request")
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		login, client string // what is added to the login and to the refresh
		alg           jose.Algorithm
	}{
		"without an app": {"", "", jose.ES256},
		"with an app":    {"&client_id=app_web", inBody, jose.EdDSA},
		"a public app":   {"&client_id=app_spa", "&client_id=app_spa", jose.ES256},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			first := granted(t, f.form(t, "/login", "username=ada&password=correct+horse"+tc.login))
			refresh := func(a answer, more string) string {
				return "grant_type=refresh_token&refresh_token=" + a.RefreshToken + tc.client + more
			}
			second := granted(t, f.form(t, "/oauth2/token", refresh(first, "&scope=chat")))
			if second.Scope != "chat" || second.RefreshToken == first.RefreshToken {
				t.Errorf("answer = %+v", second)
			}
			if claims := f.claimsOf(t, second.AccessToken, tc.alg); claims["sub"] != "usr_ada" || claims["scope"] != "chat" {
				t.Errorf("claims = %v", claims)
			}
			refused(t, f.form(t, "/oauth2/token", refresh(second, "&scope=admin")), 400, "invalid_scope")
			f.sleep(token.Grace)
			refused(t, f.form(t, "/oauth2/token", refresh(first, "")), 400, "invalid_grant")
			refused(t, f.form(t, "/oauth2/token", refresh(second, "")), 400, "invalid_grant")
		})
	}
}

func TestRefreshIsBoundToTheClient(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ login, client string }{
		"an app's, shown without":        {"&client_id=app_web", ""},
		"an app's, shown by another":     {"&client_id=app_web", "&client_id=app_b%2B%25&client_secret=right%2B%25"},
		"signed in without, shown by it": {"", inBody},
		"an app's, by a public one":      {"&client_id=app_web", "&client_id=app_spa"},
		"a public app's, shown without":  {"&client_id=app_spa", ""},
		"a public app's, by another":     {"&client_id=app_spa", inBody},
	} {
		f := open(t)
		a := granted(t, f.form(t, "/login", "username=ada&password=correct+horse"+tc.login))
		t.Log(name)
		refused(t, f.form(t, "/oauth2/token", "grant_type=refresh_token&refresh_token="+a.RefreshToken+tc.client), 400, "invalid_grant")
	}
}

func TestTokenLimit(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) { c.TokenPerApp = limit.New(limit.Rate{N: 1, Per: time.Minute}, 10) })
	refused(t, f.form(t, "/oauth2/token", "grant_type=client_credentials&client_id=app_web&client_secret=wrong"), 401, "invalid_client")
	granted(t, f.form(t, "/oauth2/token", "grant_type=client_credentials"+inBody)) // a stranger did not use it up
	w := f.form(t, "/oauth2/token", "grant_type=client_credentials"+inBody)
	refused(t, w, 429, "temporarily_unavailable")
	if w.Header().Get("Retry-After") != "60" {
		t.Errorf("Retry-After = %q", w.Header().Get("Retry-After"))
	}
}

func TestPublicAppsAreNotLimitedTogether(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) { c.TokenPerApp = limit.New(limit.Rate{N: 1, Per: time.Minute}, 10) })
	const client = "&client_id=app_spa"
	a := granted(t, f.form(t, "/login", "username=ada&password=correct+horse"+client))
	for range 3 { // a stranger
		refused(t, f.form(t, "/oauth2/token", "grant_type=refresh_token&refresh_token=rt_x"+client), 400, "invalid_grant")
	}
	w := f.form(t, "/oauth2/token", "grant_type=refresh_token&refresh_token="+a.RefreshToken+client, "Origin", "https://web.example")
	granted(t, w)
	if got := w.Header().Get("Access-Control-Allow-Origin"); got != "https://web.example" {
		t.Errorf("Access-Control-Allow-Origin = %q: its page cannot read the answer", got)
	}
}

func TestBusySigner(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.ring.err = &fault.Error{Kind: fault.Unavailable, Msg: "keys are out of reach", RetryAfter: 5 * time.Second}
	w := f.form(t, "/oauth2/token", "grant_type=client_credentials"+inBody)
	refused(t, w, 503, "temporarily_unavailable")
	if got := w.Header().Get("Retry-After"); got != "5" {
		t.Errorf("Retry-After = %q, want what the signer says", got)
	}
	if len(f.observed) != 1 || f.observed[0] != app.ClientCredentials {
		t.Errorf("observed %v", f.observed)
	}
}

func TestDescriptionsAreOfTheAllowedCharacters(t *testing.T) {
	t.Parallel()
	if got := describe(fault.Error{Field: "\"\\\nü", Msg: "is wrong"}); got != "''?? is wrong" {
		t.Errorf("error_description = %q", got)
	}
}

func FuzzToken(f *testing.F) {
	f.Add("grant_type=client_credentials"+inBody, "")
	f.Add("grant_type=refresh_token&refresh_token=rt_x", basicHeader("app_web", "right+%"))
	f.Add(grantBearer+"&assertion=eyJhbGciOiJub25lIn0.e30.", "")
	f.Add(grantExchange+asKey+"&subject_token=x&actor_token=x&subject_token_type="+isAccess, "")
	f.Add("grant_type=client_credentials&client_assertion=x&client_assertion_type="+assertionType, "")
	fx := (*fixture)(nil)
	f.Fuzz(func(t *testing.T, body, header string) {
		if fx == nil {
			fx = open(t)
		}
		w := fx.form(t, "/oauth2/token", body, "Authorization", header)
		if w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%d %s for %q, %q", w.Code, w.Body, body, header)
		}
		proof := strings.Contains(body, "client_secret") || strings.HasPrefix(strings.ToLower(header), "basic ")
		if w.Code == http.StatusOK && !proof {
			t.Errorf("a token for nobody: %q, %q", body, header)
		}
	})
}
