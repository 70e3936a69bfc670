package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/token"
)

const (
	tokenPath      = "/oauth2/token"
	revokePath     = "/oauth2/revoke"
	introspectPath = "/oauth2/introspect"

	clientCredentials = "grant_type=client_credentials"
	asKey             = "&client_id=app_key&client_secret=right%2B%25"
	asAPI             = "&client_id=app_api&client_secret=right%2B%25"
	grantBearer       = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
	grantExchange     = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
	isAccess          = "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"
)

// claims of an assertion; those of [fixture.assertion] but for these.
type claims map[string]any

// assertion is one of app_key's about itself, but for what edit says: nil takes a claim
// away.
func (f *fixture) assertion(t *testing.T, edit claims) string {
	t.Helper()
	c := claims{
		"iss": "app_key", "sub": "app_key", "aud": issuerURL, "jti": "j1",
		"iat": noon.Unix(), "exp": noon.Add(time.Minute).Unix(),
	}
	for name, value := range edit {
		c[name] = value
		if value == nil {
			delete(c, name)
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	k := f.signers["app_key"]
	if own, ok := f.signers[app.ID(c["iss"].(string))]; ok {
		k = own
	}
	signed, err := k.Sign("JWT", text)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// byAssertion is what a form has of a client that signs an assertion.
func (f *fixture) byAssertion(t *testing.T, edit claims) string {
	t.Helper()
	return "&client_assertion_type=" + url.QueryEscape(assertionType) + "&client_assertion=" + f.assertion(t, edit)
}

// mine is a token that an app gets for itself.
func (f *fixture) mine(t *testing.T, as string) string {
	t.Helper()
	return granted(t, f.form(t, tokenPath, clientCredentials+as)).AccessToken
}

// adas is a token of a user's who signed in to app_web.
func (f *fixture) adas(t *testing.T) answer {
	t.Helper()
	return granted(t, f.form(t, "/login", "username=ada&password=correct+horse&client_id=app_web"))
}

// TestConformance shows each clause by the request that tells it from its opposite. Code is
// "" for a request that succeeds.
func TestConformance(t *testing.T) {
	t.Parallel()
	read := func(path string, header ...string) func(*testing.T, *fixture) *httptest.ResponseRecorder {
		return func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			return f.do(t, http.MethodGet, path, "", header...)
		}
	}
	post := func(path, form string, header ...string) func(*testing.T, *fixture) *httptest.ResponseRecorder {
		return func(t *testing.T, f *fixture) *httptest.ResponseRecorder { return f.form(t, path, form, header...) }
	}
	assert := func(form string, edit claims) func(*testing.T, *fixture) *httptest.ResponseRecorder {
		return func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			return f.form(t, tokenPath, form+f.byAssertion(t, edit))
		}
	}
	bearer := func(form string, edit claims) func(*testing.T, *fixture) *httptest.ResponseRecorder {
		return func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			all := claims{"sub": "usr_ada"}
			for name, value := range edit {
				all[name] = value
			}
			return f.form(t, tokenPath, grantBearer+form+"&assertion="+f.assertion(t, all))
		}
	}
	// exchange shows app_key ada's token, for an audience that both serve.
	exchange := func(form string) func(*testing.T, *fixture) *httptest.ResponseRecorder {
		return func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			return f.form(t, tokenPath, grantExchange+asKey+"&subject_token="+f.adas(t).AccessToken+form)
		}
	}
	about := func(path, as string, which func(*testing.T, *fixture) string) func(*testing.T, *fixture) *httptest.ResponseRecorder {
		return func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			return f.form(t, path, "token="+url.QueryEscape(which(t, f))+as)
		}
	}
	webs := func(t *testing.T, f *fixture) string { return f.mine(t, inBody) }
	keys := func(t *testing.T, f *fixture) string { return f.mine(t, asKey) }
	adasRefresh := func(t *testing.T, f *fixture) string { return f.adas(t).RefreshToken }
	fixed := func(text string) func(*testing.T, *fixture) string {
		return func(*testing.T, *fixture) string { return text }
	}

	for clause, tc := range map[string]struct {
		do     func(*testing.T, *fixture) *httptest.ResponseRecorder
		status int
		code   string
	}{
		// RFC 6749: the framework.
		"6749 §2.3: one method of authentication":  {post(tokenPath, clientCredentials+inBody, "Authorization", basicHeader("app_web", "right+%")), 400, "invalid_request"},
		"6749 §2.3: not a secret and an assertion": {assert(clientCredentials+inBody, nil), 400, "invalid_request"},
		"6749 §2.3.1: Basic":                       {post(tokenPath, clientCredentials, "Authorization", basicHeader("app_web", "right+%")), 200, ""},
		"6749 §2.3.1: in the body":                 {post(tokenPath, clientCredentials+inBody), 200, ""},
		"6749 §2.3.1: never in the URL":            {post(tokenPath+"?client_id=app_web&client_secret=right%2B%25", clientCredentials), 401, "invalid_client"},
		"6749 §3.2: the token endpoint takes POST": {func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			return f.do(t, http.MethodGet, tokenPath, "")
		}, 405, "-"},
		"6749 §3.2: without a value is left out":        {post(tokenPath, clientCredentials+"&scope="+inBody), 200, ""},
		"6749 §3.2: unknown parameters are ignored":     {post(tokenPath, clientCredentials+"&color=red"+inBody), 200, ""},
		"6749 §3.2: no parameter twice":                 {post(tokenPath, clientCredentials+"&scope=read&scope=write"+inBody), 400, "invalid_request"},
		"6749 §3.2.1: the client authenticates":         {post(tokenPath, clientCredentials), 401, "invalid_client"},
		"6749 §3.3: scope syntax":                       {post(tokenPath, clientCredentials+"&scope=read++write"+inBody), 400, "invalid_scope"},
		"6749 §3.3: scope that is not allowed":          {post(tokenPath, clientCredentials+"&scope=admin"+inBody), 400, "invalid_scope"},
		"6749 §4.4: for confidential clients alone":     {post(tokenPath, clientCredentials+"&client_id=app_spa"), 400, "unauthorized_client"},
		"6749 §4.4: for those that may":                 {post(tokenPath, clientCredentials+asAPI), 400, "unauthorized_client"},
		"6749 §4.5: extension grants are absolute URIs": {post(tokenPath, "grant_type=jwt-bearer&assertion=x"), 400, "unsupported_grant_type"},
		"6749 §5.2: no grant_type":                      {post(tokenPath, "scope=read"+inBody), 400, "invalid_request"},
		"6749 §5.2: unknown grant_type":                 {post(tokenPath, "grant_type=password&username=ada&password=correct+horse"+inBody), 400, "unsupported_grant_type"},
		"6749 §5.2: unknown client":                     {post(tokenPath, clientCredentials+"&client_id=app_x&client_secret=x"), 401, "invalid_client"},
		"6749 §6: refresh token of another client": {func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			return f.form(t, tokenPath, "grant_type=refresh_token&refresh_token="+f.adas(t).RefreshToken+asKey)
		}, 400, "invalid_grant"},
		"6749 §6: no more scope than was granted": {func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			return f.form(t, tokenPath, "grant_type=refresh_token&scope=admin&refresh_token="+f.adas(t).RefreshToken+inBody)
		}, 400, "invalid_scope"},
		"9700 §2.4: no resource owner password":            {post(tokenPath, "grant_type=password&username=ada&password=correct+horse&client_id=app_spa"), 400, "unsupported_grant_type"},
		"9700 §4.14.2: a used refresh token ends the rest": {reuse, 400, "invalid_grant"},

		// RFC 7521, 7523: clients that authenticate by assertion.
		"7521 §4.2: private_key_jwt":                 {assert(clientCredentials, nil), 200, ""},
		"7521 §4.2: client_id is optional, and fits": {assert(clientCredentials+"&client_id=app_key", nil), 200, ""},
		"7521 §4.2: client_id of another":            {assert(clientCredentials+"&client_id=app_web", nil), 401, "invalid_client"},
		"7521 §4.2: the type is given": {func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			return f.form(t, tokenPath, clientCredentials+"&client_assertion="+f.assertion(t, nil))
		}, 400, "invalid_request"},
		"7521 §4.2: the assertion is given": {post(tokenPath, clientCredentials+"&client_assertion_type="+url.QueryEscape(assertionType)), 400, "invalid_request"},
		"7521 §4.2: of a type that there is": {func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			return f.form(t, tokenPath, clientCredentials+"&client_assertion_type=saml&client_assertion="+f.assertion(t, nil))
		}, 401, "invalid_client"},
		"7521 §4.2.1: one that is not good": {assert(clientCredentials, claims{"exp": noon.Add(-time.Hour).Unix()}), 401, "invalid_client"},
		"7521 §5.2: iss is needed": {func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			return f.form(t, tokenPath, clientCredentials+f.byAssertion(t, claims{"iss": ""}))
		}, 401, "invalid_client"},
		"7523 §3 (2.B): sub is the client":              {assert(clientCredentials, claims{"sub": "usr_ada"}), 401, "invalid_client"},
		"7523 §3 (3): aud is this server":               {assert(clientCredentials, claims{"aud": "https://other.example"}), 401, "invalid_client"},
		"7523 §3 (3), 9700: aud is the issuer alone":    {assert(clientCredentials, claims{"aud": issuerURL + tokenPath}), 401, "invalid_client"},
		"7523 §3 (3): and nobody besides":               {assert(clientCredentials, claims{"aud": []string{issuerURL, "https://other.example"}}), 401, "invalid_client"},
		"7523 §3 (4): exp is needed":                    {assert(clientCredentials, claims{"exp": nil}), 401, "invalid_client"},
		"7523 §3 (4): exp not far ahead":                {assert(clientCredentials, claims{"exp": noon.Add(time.Hour).Unix()}), 401, "invalid_client"},
		"7523 §3 (5): nbf":                              {assert(clientCredentials, claims{"nbf": noon.Add(time.Minute).Unix()}), 401, "invalid_client"},
		"7523 §3 (7), OIDC Core §9: jti is needed":      {assert(clientCredentials, claims{"jti": nil}), 401, "invalid_client"},
		"7523 §3 (7): and is good once":                 {twice(assert(clientCredentials, nil)), 401, "invalid_client"},
		"7523 §3 (8): an assertion without unknown key": {assert(clientCredentials, claims{"iss": "app_api", "sub": "app_api"}), 401, "invalid_client"},
		"7523 §3 (9): signed by the client's own key":   {forged, 401, "invalid_client"},
		"7523 §3: of a disabled client":                 {assert(clientCredentials, claims{"iss": "app_off", "sub": "app_off"}), 401, "invalid_client"},
		"7523 §3: keys that cannot be fetched":          {assert(clientCredentials, claims{"iss": "app_away", "sub": "app_away"}), 503, "temporarily_unavailable"},

		// RFC 7521, 7523: assertions as grants.
		"7523 §2.1: an assertion by itself":             {bearer("", nil), 200, ""},
		"7523 §2.1: of a client that authenticates":     {bearer(asKey, nil), 200, ""},
		"7521 §4.1: client_id that fits":                {bearer("&client_id=app_key", nil), 200, ""},
		"7521 §4.1: client_id of another":               {bearer("&client_id=app_web", nil), 400, "invalid_grant"},
		"7521 §4.1: assertion is needed":                {post(tokenPath, grantBearer), 400, "invalid_request"},
		"7521 §4.1: another client shows it":            {bearer("&client_id=app_web&client_secret=right%2B%25", nil), 400, "unauthorized_client"},
		"7521 §4.1: scope within what users may grant":  {bearer("&scope=chat", nil), 200, ""},
		"7521 §4.1: scope that the user does not have":  {bearer("&scope=admin", nil), 400, "invalid_scope"},
		"7521 §4.1: scope that the app may not have":    {bearer("&scope=orders", nil), 400, "invalid_scope"},
		"7521 §4.1.1: one that is not good":             {bearer("", claims{"exp": nil}), 400, "invalid_grant"},
		"7523 §3 (2.A): sub is somebody":                {bearer("", claims{"sub": "usr_x"}), 400, "invalid_grant"},
		"7523 §3 (2.A): sub is not the app":             {bearer("", claims{"sub": "app_key"}), 400, "invalid_grant"},
		"7523 §3 (2.A): sub may go on":                  {bearer("", claims{"sub": "usr_gone"}), 400, "invalid_grant"},
		"7523 §3 (3): aud of a grant":                   {bearer("", claims{"aud": issuerURL + tokenPath}), 400, "invalid_grant"},
		"7523 §3 (7): a grant is good once":             {twice(bearer("", nil)), 400, "invalid_grant"},
		"7523 §2.1: of an app that may":                 {bearer("", claims{"iss": "app_web"}), 400, "unauthorized_client"},
		"7523 §2.1: a proof of the client is no grant":  {bearer("", claims{"sub": "app_key"}), 400, "invalid_grant"},
		"7523 §2.2: a grant is no proof of the client":  {assert(clientCredentials, claims{"sub": "usr_ada"}), 401, "invalid_client"},
		"7523 §2.1: good once, whatever it was used as": {both, 401, "invalid_client"},

		// RFC 8693: token exchange.
		"8693 §2.1: exchange":                             {exchange("&subject_token_type=" + isAccess), 200, ""},
		"8693 §2.1: subject_token is needed":              {post(tokenPath, grantExchange+asKey+"&subject_token_type="+isAccess), 400, "invalid_request"},
		"8693 §2.1: subject_token_type is needed":         {exchange(""), 400, "invalid_request"},
		"8693 §2.1: subject_token_type that is not":       {exchange("&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Asaml2"), 400, "invalid_request"},
		"8693 §2.1: requested_token_type":                 {exchange("&requested_token_type=" + isAccess + "&subject_token_type=" + isAccess), 200, ""},
		"8693 §2.1: another requested_token_type":         {exchange("&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid_token&subject_token_type=" + isAccess), 400, "invalid_request"},
		"8693 §2.1: actor_token_type without actor_token": {exchange("&subject_token_type=" + isAccess + "&actor_token_type=" + isAccess), 400, "invalid_request"},
		"8693 §2.1: actor_token without its type":         {exchange("&subject_token_type=" + isAccess + "&actor_token=x"), 400, "invalid_request"},
		"8693 §2.1: scope is no wider":                    {exchange("&scope=admin&subject_token_type=" + isAccess), 400, "invalid_scope"},
		"8693 §2.1: resource that it may ask for":         {exchange("&resource=https://stock.example&subject_token_type=" + isAccess), 200, ""},
		"8693 §2.1: audience that it may ask for":         {exchange("&audience=https://stock.example&subject_token_type=" + isAccess), 200, ""},
		"8693 §2.2.2: resource that it may not":           {exchange("&resource=https://bank.example&subject_token_type=" + isAccess), 400, "invalid_target"},
		"8693 §2.2.2: audience that it may not":           {exchange("&audience=https://bank.example&subject_token_type=" + isAccess), 400, "invalid_target"},
		"8693 §2.2.2: two targets":                        {exchange("&audience=https://stock.example&resource=" + issuerURL + "&subject_token_type=" + isAccess), 400, "invalid_target"},
		"8693 §2.2.2: two resources":                      {exchange("&resource=https://stock.example&resource=https://stock.example&subject_token_type=" + isAccess), 400, "invalid_target"},
		"8693 §2.2.2: a token that is not good":           {post(tokenPath, grantExchange+asKey+"&subject_token=x&subject_token_type="+isAccess), 400, "invalid_request"},
		"8693 §2.2.2: an actor that is not good":          {exchange("&subject_token_type=" + isAccess + "&actor_token=x&actor_token_type=" + isAccess), 400, "invalid_request"},
		"8693 §2.1: by a client that authenticates":       {post(tokenPath, grantExchange+"&subject_token=x&subject_token_type="+isAccess), 401, "invalid_client"},
		"8693 §5: a client that may not":                  {post(tokenPath, grantExchange+inBody+"&subject_token=x&subject_token_type="+isAccess), 400, "unauthorized_client"},
		"8693 §5: a token that is no business of its": {func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			return f.form(t, tokenPath, grantExchange+asAPI+"&subject_token="+f.adas(t).AccessToken+"&subject_token_type="+isAccess)
		}, 400, "invalid_request"},
		"8693 §4.1: a user who may not go on":       {gone, 400, "invalid_request"},
		"8707 §2: resource of an app's own token":   {post(tokenPath, clientCredentials+"&resource=https://stock.example"+asKey), 200, ""},
		"8707 §2: resource that it may not ask for": {post(tokenPath, clientCredentials+"&resource=https://stock.example"+inBody), 400, "invalid_target"},

		"8693 §1.1: an app's own token": {func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			return f.form(t, tokenPath, grantExchange+asKey+"&subject_token="+f.mine(t, inBody)+"&subject_token_type="+isAccess)
		}, 200, ""},
		"8693 §1.1: of an app that was disabled": {func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			text := f.mine(t, inBody)
			f.apps["app_web"].Disabled = true
			return f.form(t, tokenPath, grantExchange+asKey+"&subject_token="+text+"&subject_token_type="+isAccess)
		}, 400, "invalid_request"},
		"8693 §1.1: with an actor": {func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			return f.form(t, tokenPath, grantExchange+asKey+"&subject_token="+f.adas(t).AccessToken+"&subject_token_type="+isAccess+
				"&actor_token="+f.mine(t, inBody)+"&actor_token_type="+isAccess)
		}, 200, ""},

		// RFC 7009: revocation.
		"7009 §2.1: an access token": {about(revokePath, inBody, webs), 200, ""},
		"7009 §2.1: a refresh token": {about(revokePath, inBody, adasRefresh), 200, ""},
		"7009 §2.1: by private_key_jwt": {func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			return f.form(t, revokePath, "token=x"+f.byAssertion(t, nil))
		}, 200, ""},
		"7009 §2.1: a public client names itself":   {post(revokePath, "token=x&client_id=app_spa"), 200, ""},
		"7009 §2.1: token is needed":                {post(revokePath, "token_type_hint=access_token"+inBody), 400, "invalid_request"},
		"7009 §2.1: a hint that is wrong":           {about(revokePath, "&token_type_hint=access_token"+inBody, adasRefresh), 200, ""},
		"7009 §2.1: a hint that is unknown":         {about(revokePath, "&token_type_hint=color"+inBody, webs), 200, ""},
		"7009 §2.1: the client authenticates":       {about(revokePath, "&client_id=app_web&client_secret=wrong", webs), 401, "invalid_client"},
		"7009 §2.1: another client's access token":  {about(revokePath, asKey, webs), 400, "invalid_grant"},
		"7009 §2.1: another client's refresh token": {about(revokePath, asKey, adasRefresh), 400, "invalid_grant"},
		"7009 §2.1: a client's by who names none":   {about(revokePath, "", webs), 400, "invalid_grant"},
		"7009 §2.2: an unknown token":               {about(revokePath, inBody, fixed("x")), 200, ""},
		"7009 §2.2: an unknown refresh token":       {about(revokePath, inBody, fixed("rt_"+strings.Repeat("A", 64))), 200, ""},
		"7009 §2.2: a token that was revoked":       {twice(about(revokePath, inBody, webs)), 200, ""},
		"7009 §2: POST alone": {func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			return f.do(t, http.MethodGet, revokePath+"?token=x", "")
		}, 405, "-"},
		"7009 §2.1: no parameter twice": {post(revokePath, "token=x&token=y"+inBody), 400, "invalid_request"},

		// RFC 7662: introspection.
		"7662 §2.1: token is needed":          {post(introspectPath, strings.TrimPrefix(inBody, "&")), 400, "invalid_request"},
		"7662 §2.1: the caller authenticates": {about(introspectPath, "", webs), 401, "invalid_client"},
		"7662 §2.1: a public client cannot":   {about(introspectPath, "&client_id=app_spa", webs), 401, "invalid_client"},
		"7662 §2.1: by private_key_jwt": {func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			return f.form(t, introspectPath, "token=x"+f.byAssertion(t, nil))
		}, 200, ""},
		"7662 §2.1: POST alone, so that no log has it": {func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
			return f.do(t, http.MethodGet, introspectPath+"?token=x", "")
		}, 405, "-"},
		"7662 §2.3: wrong credentials":                   {about(introspectPath, "&client_id=app_web&client_secret=wrong", webs), 401, "invalid_client"},
		"7662 §2.3: a bad token is no error":             {about(introspectPath, inBody, fixed("x")), 200, ""},
		"7662 §4: no business of the caller's, no error": {about(introspectPath, asAPI, keys), 200, ""},

		// RFC 8414: metadata.
		"8414 §3: where it is":      {read("/.well-known/oauth-authorization-server"), 200, "-"},
		"8414 §5: where OpenID is":  {read("/.well-known/openid-configuration"), 200, "-"},
		"8414 §3.1: asked by GET":   {post("/.well-known/oauth-authorization-server", ""), 405, "-"},
		"8414 §3.1: of one issuer":  {read("/.well-known/oauth-authorization-server/tenant"), 404, "-"},
		"8414 §2: the keys (7517)":  {read("/.well-known/jwks.json"), 200, "-"},
		"8414 §3.2: pages may read": {read("/.well-known/oauth-authorization-server", "Origin", "https://anyone.example"), 200, "-"},
	} {
		t.Run(clause, func(t *testing.T) {
			t.Parallel()
			w := tc.do(t, open(t))
			switch tc.code {
			case "-":
				if w.Code != tc.status {
					t.Errorf("%d %s, want %d", w.Code, w.Body, tc.status)
				}
			case "":
				if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("%d %s, headers %v", w.Code, w.Body, w.Header())
				}
			default:
				refused(t, w, tc.status, tc.code)
			}
		})
	}
}

// twice does the same again, with the same token or assertion: its last answer counts.
func twice(do func(*testing.T, *fixture) *httptest.ResponseRecorder) func(*testing.T, *fixture) *httptest.ResponseRecorder {
	return func(t *testing.T, f *fixture) *httptest.ResponseRecorder {
		if w := do(t, f); w.Code != http.StatusOK {
			t.Fatalf("the first time: %d %s", w.Code, w.Body)
		}
		return do(t, f)
	}
}

// both uses one assertion as a grant and then as a proof of the client.
func both(t *testing.T, f *fixture) *httptest.ResponseRecorder {
	granted(t, f.form(t, tokenPath, grantBearer+"&assertion="+f.assertion(t, claims{"sub": "usr_ada"})))
	return f.form(t, tokenPath, clientCredentials+f.byAssertion(t, nil))
}

// reuse shows a refresh token again when its time is over, and then the one after it.
func reuse(t *testing.T, f *fixture) *httptest.ResponseRecorder {
	refresh := func(old answer) *httptest.ResponseRecorder {
		return f.form(t, tokenPath, "grant_type=refresh_token&refresh_token="+old.RefreshToken+inBody)
	}
	first := f.adas(t)
	second := granted(t, refresh(first))
	f.sleep(token.Grace)
	refused(t, refresh(first), 400, "invalid_grant")
	return refresh(second)
}

// forged is an assertion in the name of app_key that another app signed.
func forged(t *testing.T, f *fixture) *httptest.ResponseRecorder {
	k, err := jose.Generate(jose.EdDSA, "k1")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Split(f.assertion(t, nil), ".")[1]
	plain, _ := jose.Decode(text)
	signed, err := k.Sign("JWT", plain)
	if err != nil {
		t.Fatal(err)
	}
	return f.form(t, tokenPath, clientCredentials+"&client_assertion_type="+url.QueryEscape(assertionType)+"&client_assertion="+signed)
}

// gone exchanges a token of a user who was disabled since.
func gone(t *testing.T, f *fixture) *httptest.ResponseRecorder {
	access, err := f.issuer.Access(t.Context(), token.AccessRequest{App: "app_web", Subject: "usr_gone"})
	if err != nil {
		t.Fatal(err)
	}
	return f.form(t, tokenPath, grantExchange+asKey+"&subject_token="+access.Token+"&subject_token_type="+isAccess)
}

// told decodes what an introspection says.
func told(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return all
}

// TestIntrospection goes by RFC 7662 §2.2.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	inactive := map[string]any{"active": false}
	access := map[string]any{
		"active": true, "token_type": "Bearer", "iss": issuerURL, "sub": "app_key", "client_id": "app_key", "aud": issuerURL,
		"scope": "read", "iat": float64(noon.Unix()), "exp": float64(noon.Add(15 * time.Minute).Unix()),
	}
	for name, tc := range map[string]struct {
		as     string
		before func(t *testing.T, f *fixture, text string)
		want   map[string]any
	}{
		"another that answers for the audience": {inBody, nil, access},
		"the client itself":                     {asKey, nil, access},
		"who answers for another audience":      {asAPI, nil, inactive},
		"expired":                               {inBody, func(_ *testing.T, f *fixture, _ string) { f.sleep(15 * time.Minute) }, inactive},
		"revoked": {inBody, func(t *testing.T, f *fixture, text string) {
			if w := f.form(t, revokePath, "token="+text+asKey); w.Code != http.StatusOK || w.Body.Len() > 0 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}, inactive},
		"of a client that was disabled": {inBody, func(_ *testing.T, f *fixture, _ string) { f.apps["app_key"].Disabled = true }, inactive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			text := f.mine(t, asKey)
			told(t, f.form(t, introspectPath, "token="+text+inBody)) // it is in the cache, too
			if tc.before != nil {
				tc.before(t, f, text)
			}
			got := told(t, f.form(t, introspectPath, "token="+text+tc.as))
			if id, ok := got["jti"].(string); ok != (tc.want["active"] == true) || ok && id == "" {
				t.Errorf("jti = %q", id)
			}
			delete(got, "jti")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}

// TestIntrospectRefreshToken tells the client that has it, and nobody else.
func TestIntrospectRefreshToken(t *testing.T) {
	t.Parallel()
	f := open(t)
	a := f.adas(t)
	ask := func(as string) map[string]any { return told(t, f.form(t, introspectPath, "token="+a.RefreshToken+as)) }
	want := map[string]any{
		"active": true, "iss": issuerURL, "sub": "usr_ada", "client_id": "app_web", "scope": "chat orders",
		"iat": float64(noon.Unix()), "exp": float64(noon.Add(time.Hour).Unix()),
	}
	if diff := cmp.Diff(want, ask(inBody)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if got := ask(asKey); len(got) != 1 || got["active"] != false {
		t.Errorf("another client is told %v", got)
	}
	f.form(t, revokePath, "token="+a.RefreshToken+inBody)
	if got := ask(inBody); len(got) != 1 || got["active"] != false {
		t.Errorf("after it was revoked: %v", got)
	}
	if got := told(t, f.form(t, introspectPath, "token="+a.AccessToken+inBody)); got["active"] != false {
		t.Errorf("its access token: %v", got)
	}
}

// TestDelegation is RFC 8693 §4.1 over two services: each acts for who came before.
func TestDelegation(t *testing.T) {
	t.Parallel()
	f := open(t)
	first := granted(t, f.form(t, tokenPath, grantExchange+asKey+"&resource=https://stock.example&scope=orders&subject_token="+
		f.adas(t).AccessToken+"&subject_token_type="+isAccess))
	if first.IssuedTokenType != accessTokenType || first.RefreshToken != "" || first.Scope != "orders" {
		t.Errorf("answer = %+v", first)
	}
	f.sleep(10 * time.Minute)
	w := f.form(t, tokenPath, grantExchange+asAPI+"&subject_token="+first.AccessToken+"&subject_token_type="+isAccess)
	var second answer
	if err := json.Unmarshal(w.Body.Bytes(), &second); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if second.ExpiresIn != 300 {
		t.Errorf("the second lives %d s: longer than the first", second.ExpiresIn)
	}
	got := f.claimsOf(t, second.AccessToken, jose.ES256)
	want := map[string]any{
		"iss": issuerURL, "aud": issuerURL, "sub": "usr_ada", "client_id": "app_api", "scope": "orders",
		"iat": float64(noon.Add(10 * time.Minute).Unix()), "exp": float64(noon.Add(15 * time.Minute).Unix()),
		"act": map[string]any{"sub": "app_api", "act": map[string]any{"sub": "app_key"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

// TestClaimsOfTheApp: only the app's own tokens have what its template says.
func TestClaimsOfTheApp(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.apps["app_key"].Claims = `{"org": "acme", "app": "${client_id}", "can": ["${scope}"]}`
	own := f.claimsOf(t, f.mine(t, asKey), jose.ES256)
	if diff := cmp.Diff([]any{"acme", "app_key", []any{"read"}}, []any{own["org"], own["app"], own["can"]}); diff != "" {
		t.Errorf("own token (-want +got):\n%s", diff)
	}
	users := granted(t, f.form(t, tokenPath, grantBearer+"&assertion="+f.assertion(t, claims{"sub": "usr_ada"})))
	if got := f.claimsOf(t, users.AccessToken, jose.ES256); got["org"] != nil || got["sub"] != "usr_ada" || got["scope"] != "chat" {
		t.Errorf("a user's token: %v", got)
	}
}

// TestAboutLimit counts by app, and apart from tokens; strangers do not use it up, and
// what is over it does not use an assertion up.
func TestAboutLimit(t *testing.T) {
	t.Parallel()
	once := limit.Rate{N: 1, Per: time.Minute}
	f := open(t, func(c *Config) { c.TokenPerApp, c.AboutPerApp = limit.New(once, 10), limit.New(once, 10) })
	text := f.mine(t, asKey)
	refused(t, f.form(t, introspectPath, "token=x&client_id=app_key&client_secret=wrong"), 401, "invalid_client")
	told(t, f.form(t, introspectPath, "token="+text+asKey))
	refused(t, f.form(t, introspectPath, "token="+text+asKey), 429, "temporarily_unavailable")
	refused(t, f.form(t, revokePath, "token="+text+asKey), 429, "temporarily_unavailable")
	by := f.byAssertion(t, claims{"exp": noon.Add(4 * time.Minute).Unix()})
	refused(t, f.form(t, tokenPath, clientCredentials+by), 429, "temporarily_unavailable")
	f.sleep(time.Minute)
	granted(t, f.form(t, tokenPath, clientCredentials+by))
}

// TestAccessTokenProfile goes by RFC 9068, whatever the grant.
func TestAccessTokenProfile(t *testing.T) {
	t.Parallel()
	f := open(t)
	for grant, text := range map[string]string{
		"client credentials": f.mine(t, asKey),
		"refresh":            granted(t, f.form(t, tokenPath, "grant_type=refresh_token&refresh_token="+f.adas(t).RefreshToken+inBody)).AccessToken,
		"assertion":          granted(t, f.form(t, tokenPath, grantBearer+"&assertion="+f.assertion(t, claims{"sub": "usr_ada"}))).AccessToken,
		"exchange":           granted(t, f.form(t, tokenPath, grantExchange+asKey+"&subject_token="+f.adas(t).AccessToken+"&subject_token_type="+isAccess)).AccessToken,
	} {
		var head jose.Unverified
		var has jose.Object
		if err := errors.Join(head.Parse(text), head.Claims(&has)); err != nil {
			t.Fatal(err)
		}
		if head.Type != "at+jwt" || head.Algorithm.Symmetric() || head.KeyID == "" { // §2.1
			t.Errorf("%s: typ %q, alg %q, kid %q", grant, head.Type, head.Algorithm, head.KeyID)
		}
		for _, name := range []string{"iss", "aud", "sub", "client_id", "jti", "scope"} { // §2.2, §2.2.3
			if value, ok := has.Lookup(name).Text(); !ok || value == "" {
				t.Errorf("%s: %s is missing", grant, name)
			}
		}
		for _, name := range []string{"exp", "iat"} {
			if _, ok := has.Lookup(name).Date(); !ok {
				t.Errorf("%s: %s is missing", grant, name)
			}
		}
		client, _ := has.Lookup("client_id").Text()
		if sub, _ := has.Lookup("sub").Text(); (sub == client) != (grant == "client credentials") { // §2.2
			t.Errorf("%s: sub is %q, client_id %q", grant, sub, client)
		}
	}
}
