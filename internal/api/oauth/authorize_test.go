package oauth

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
)

// TestAuthorizeRefusedHere is of requests of which nobody knows whose they are: nobody is
// sent anywhere (RFC 6749 §4.1.2.1).
func TestAuthorizeRefusedHere(t *testing.T) {
	t.Parallel()
	f := open(t)
	for name, request := range map[string]string{
		"§2.2 no client":                     asking("client_id"),
		"§2.2 an unknown client":             asking("client_id=app_evil"),
		"§2.2 a disabled client":             asking("client_id=app_off"),
		"§3.1 client_id twice":               asking("+client_id=app_shop"),
		"§3.1 redirect_uri twice":            asking("+redirect_uri=" + shopBack),
		"§3.1.2.2 a client without any":      asking("client_id=app_web", "redirect_uri=https://web.example/"),
		"§3.1.2.3 which of two is not said":  asking("redirect_uri", "scope=chat"),
		"OIDC 3.1.2.1 not said, with openid": asking("client_id=app_own", "redirect_uri"),
		"§3.1.2.4 another address":           asking("redirect_uri=https://evil.example/back"),
		"RFC 9700 §4.1 a path below":         asking("redirect_uri=" + shopBack + "/x"),
		"RFC 9700 §4.1 a query more":         asking("redirect_uri=" + shopBack + "?x=1"),
		"RFC 9700 §4.1 a fragment":           asking("redirect_uri=" + shopBack + "#x"),
		"RFC 9700 §4.1 another case":         asking("redirect_uri=https://SHOP.example/back"),
		"RFC 9700 §4.1 a dot":                asking("redirect_uri=https://shop.example/./back"),
		"RFC 9700 §4.1 a user":               asking("redirect_uri=https://shop.example@evil.example/back"),
		"RFC 9700 §4.1 a script":             asking("redirect_uri=javascript:alert(1)"),
		"RFC 8252 §7.3 no loopback":          asking("client_id=app_phone", "redirect_uri=http://127.0.0.2:1/back"),
		"RFC 8252 §7.3 another path":         asking("client_id=app_phone", "redirect_uri=http://127.0.0.1:1/other"),
		"too long":                           asking("state=" + strings.Repeat("s", 5000)),
		"no query":                           "/oauth2/authorize?%zz",
		"nothing":                            "/oauth2/authorize",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := f.visitor(t).get(request)
			sees(t, w, http.StatusBadRequest, "This sign-in cannot begin")
			if w.Header().Get("Location") != "" || len(w.Result().Cookies()) != 0 || strings.Contains(w.Body.String(), "evil") {
				t.Errorf("%v %s", w.Header(), w.Body)
			}
		})
	}
}

// TestAuthorizeRefusedThere is of what the app is told (RFC 6749 §4.1.2.1, RFC 9207 §2).
func TestAuthorizeRefusedThere(t *testing.T) {
	t.Parallel()
	f := open(t)
	for name, tc := range map[string]struct{ request, code string }{
		"§3.1.1 no response_type":               {asking("response_type"), "invalid_request"},
		"§3.1.1 an empty one":                   {asking("response_type="), "invalid_request"},
		"§3.1.1 the implicit grant":             {asking("response_type=token"), "unsupported_response_type"},
		"§3.1.1 the hybrid flow":                {asking("response_type=code id_token"), "unsupported_response_type"},
		"§3.1 something twice":                  {asking("+scope=chat"), "invalid_request"},
		"§3.3 a broken scope":                   {asking("scope=a  b"), "invalid_scope"},
		"§3.3 nothing that there is":            {asking("scope=everything"), "invalid_scope"},
		"RFC 7636 §4.4.1 no challenge":          {asking("code_challenge"), "invalid_request"},
		"RFC 7636 §4.3 plain by default":        {asking("code_challenge_method"), "invalid_request"},
		"RFC 9700 §2.1.1 plain":                 {asking("code_challenge_method=plain"), "invalid_request"},
		"RFC 7636 §4.2 a short challenge":       {asking("code_challenge=" + challengeText[1:]), "invalid_request"},
		"RFC 7636 §4.2 with padding":            {asking("code_challenge=" + challengeText + "="), "invalid_request"},
		"RFC 7636 §4.2 with stray bits":         {asking("code_challenge=" + challengeText[:42] + "N"), "invalid_request"},
		"OIDC 3.1.2.1 another response_mode":    {asking("response_mode=fragment"), "invalid_request"},
		"OIDC 3.1.2.1 prompt none and more":     {asking("prompt=none login"), "invalid_request"},
		"OIDC 3.1.2.1 an unknown prompt":        {asking("prompt=create"), "invalid_request"},
		"OIDC 3.1.2.1 max_age that is none":     {asking("max_age=-1"), "invalid_request"},
		"OIDC 3.1.2.1 prompt none, nobody here": {asking("prompt=none"), "login_required"},
		"OIDC 6.1 request":                      {asking("request=eyJ"), "request_not_supported"},
		"OIDC 6.2 request_uri":                  {asking("request_uri=https://x"), "request_uri_not_supported"},
		"OIDC 7.2.1 registration":               {asking("registration={}"), "registration_not_supported"},
		"a long nonce":                          {asking("nonce=" + strings.Repeat("n", 513)), "invalid_request"},
		"a nonce that no store keeps":           {asking("nonce=a\x00b"), "invalid_request"},
		"a nonce that is no text":               {asking("nonce=\xff"), "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := f.visitor(t).get(tc.request)
			to, q := sentTo(t, w)
			safe(t, w)
			if to != shopBack || q.Get("error") != tc.code || q.Get("error_description") == "" || q.Get("code") != "" {
				t.Errorf("to %s with %v, want %s", to, q, tc.code)
			}
			if q.Get("iss") != issuerURL || q.Get("state") != "s t&e" {
				t.Errorf("iss %q, state %q", q.Get("iss"), q.Get("state"))
			}
		})
	}
	t.Run("a state that is twice is none", func(t *testing.T) {
		t.Parallel()
		_, q := sentTo(t, f.visitor(t).get(asking("+state=other")))
		if q.Get("error") != "invalid_request" || q.Has("state") {
			t.Errorf("%v", q)
		}
	})
	t.Run("§4.1.2.1 a client of other grants", func(t *testing.T) {
		t.Parallel()
		f := open(t)
		f.apps["app_shop"].Grants = append(f.apps["app_shop"].Grants, "client_credentials")
		_, q := sentTo(t, f.visitor(t).get(asking()))
		if q.Get("error") != "unauthorized_client" {
			t.Errorf("%v", q)
		}
	})
}

// TestSignInAndConsent goes all the way, and a second time, when nothing is asked.
func TestSignInAndConsent(t *testing.T) {
	t.Parallel()
	f := open(t)
	v := f.visitor(t)
	sees(t, v.get(asking("login_hint=ada")), http.StatusOK, "The &lt;Shop&gt;", `value="ada"`, "Sign in")
	first := v.cookie.Value
	again := v.enter("Ada", "correct horse")
	safe(t, again)
	if v.cookie.Value == first {
		t.Error("who signs in keeps the cookie from before") // session fixation
	}
	c := v.cookie
	if c.Name != "__Host-carnet" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 86400 {
		t.Errorf("cookie %v", c)
	}
	next := again.Header().Get("Location")
	if to, q := sentTo(t, again); to != "/oauth2/authorize" || q.Has("login_hint") || q.Get("state") != "s t&e" {
		t.Errorf("after signing in: %s %v", to, q)
	}
	sees(t, v.get(next), http.StatusOK, "The &lt;Shop&gt;", "ada", "know that it is you", "<code>chat</code>", "https://shop.example", "Allow")
	to, q := sentTo(t, v.send("answer", "allow"))
	if want := (url.Values{"code": q["code"], "state": {"s t&e"}, "iss": {issuerURL}}); to != shopBack || cmp.Diff(want, q) != "" {
		t.Errorf("to %s with %v", to, q)
	}
	if len(q.Get("code")) != 43 {
		t.Errorf("code %q", q.Get("code"))
	}
	to, q = sentTo(t, v.get(asking("prompt=none", "redirect_uri="+shopBack+"?tab=1")))
	if to != shopBack || q.Get("code") == "" || q.Get("tab") != "1" {
		t.Errorf("the second time: to %s with %v", to, q)
	}
}

// hintOf is an ID token that says who somebody is.
func hintOf(subject string) string { return hintFrom(issuerURL, subject) }

func hintFrom(issuer, subject string) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"RS256"}`)) + "." + part([]byte(`{"iss":"`+issuer+`","sub":"`+subject+`","aud":"app_shop"}`)) + "." + part([]byte("signature"))
}

// TestWhoIsAsked is of what stands between a signed-in person and a code.
func TestWhoIsAsked(t *testing.T) {
	t.Parallel()
	const own, page = "client_id=app_own", "client_id=app_page"
	for name, tc := range map[string]struct {
		first, then string
		after       time.Duration
		want        string // "sign-in", "consent", "code", or an error
	}{
		"a new app":                              {"", asking(), 0, "consent"},
		"one that was let in":                    {asking(), asking("scope=chat"), 0, "code"},
		"which asks for more":                    {asking(), asking("scope=openid chat orders"), 0, "consent"},
		"which asks for all that there is":       {asking(), asking("scope"), 0, "consent"},
		"one of ours":                            {"", asking(own, "redirect_uri=https://own.example/back"), 0, "code"},
		"one of ours with one address":           {"", asking(own, "redirect_uri", "scope=chat"), 0, "code"},
		"a page that was let in":                 {asking(page, "redirect_uri=https://page.example/"), asking(page, "redirect_uri=https://page.example/"), 0, "code"},
		"OIDC 3.1.2.1 prompt=consent":            {asking(), asking("prompt=consent"), 0, "consent"},
		"OIDC 3.1.2.1 prompt=login":              {asking(), asking("prompt=login"), 0, "sign-in"},
		"OIDC 3.1.2.1 prompt=select_account":     {asking(), asking("prompt=select_account consent"), 0, "sign-in"},
		"OIDC 3.1.2.6 prompt=none":               {"", asking("prompt=none"), 0, "consent_required"},
		"OIDC 3.1.2.1 a sign-in that is too old": {asking(), asking("max_age=60"), 61 * time.Second, "sign-in"},
		"OIDC 3.1.2.1 one that is not":           {asking(), asking("max_age=60"), time.Minute, "code"},
		"OIDC 3.1.2.1 too old, prompt=none":      {asking(), asking("max_age=60", "prompt=none"), 61 * time.Second, "login_required"},
		"a sign-in that has ended":               {asking(), asking(), 24 * time.Hour, "sign-in"},
		"OIDC 3.1.2.1 the one who is hinted":     {asking(), asking("id_token_hint=" + hintOf("usr_ada")), 0, "code"},
		"OIDC 3.1.2.2 another one":               {asking(), asking("id_token_hint=" + hintOf("usr_bob")), 0, "sign-in"},
		"OIDC 3.1.2.2 another one, prompt=none":  {asking(), asking("prompt=none", "id_token_hint="+hintOf("usr_bob")), 0, "login_required"},
		"OIDC 3.1.2.1 a hint that is none":       {asking(), asking("id_token_hint=x"), 0, "invalid_request"},
		"OIDC 3.1.2.1 another server's hint":     {asking(), asking("id_token_hint=" + hintFrom("https://other.example", "usr_ada")), 0, "invalid_request"},
		"RFC 6749 §5.1 nothing of the scope":     {"", asking("scope=admin"), 0, "access_denied"},
		"OIDC 3.1.2.6 nothing, prompt=none":      {"", asking("scope=admin", "prompt=none"), 0, "access_denied"},
		"RFC 8252 §8.6 a scheme of its own":      {asking("client_id=app_phone", "redirect_uri=com.example.phone:/back"), asking("client_id=app_phone", "redirect_uri=com.example.phone:/back"), 0, "consent"},
		"RFC 8252 §7.3 any port":                 {"", asking("client_id=app_phone", "redirect_uri=http://127.0.0.1:49152/back"), 0, "consent"},
		"RFC 8252 §8.6 without a question":       {"", asking("client_id=app_phone", "redirect_uri=http://127.0.0.1:49152/back", "prompt=none"), 0, "consent_required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			v := f.signedIn(t)
			if tc.first != "" {
				v.admitted(tc.first)
			}
			f.sleep(tc.after)
			w := v.get(tc.then)
			var got string
			if w.Code == http.StatusOK {
				got = map[bool]string{true: "consent", false: "sign-in"}[strings.Contains(w.Body.String(), "use your account?")]
			} else {
				_, q := sentTo(t, w)
				if got = q.Get("error"); q.Get("code") != "" {
					got = "code"
				}
			}
			if got != tc.want {
				t.Errorf("%s, want %s: %d %s %s", got, tc.want, w.Code, w.Header().Get("Location"), shown(w))
			}
		})
	}
}

// TestPromptEnds goes on after a sign-in that the app has demanded: once.
func TestPromptEnds(t *testing.T) {
	t.Parallel()
	f := open(t)
	v := f.signedIn(t)
	v.admitted(asking())
	for _, prompt := range []string{"prompt=login", "prompt=select_account", "max_age=0"} {
		f.sleep(time.Second)
		sees(t, v.get(asking(prompt)), http.StatusOK, `name="password"`, `value="ada"`)
		w := v.enter("ada", "correct horse")
		if _, q := sentTo(t, v.get(w.Header().Get("Location"))); q.Get("code") == "" {
			t.Errorf("%s: %v", prompt, q)
		}
	}
	v.get(asking("prompt=login consent"))
	sees(t, v.get(v.enter("ada", "correct horse").Header().Get("Location")), http.StatusOK, "use your account?")
}

func TestDeny(t *testing.T) {
	t.Parallel()
	f := open(t)
	v := f.signedIn(t)
	v.get(asking())
	to, q := sentTo(t, v.send("answer", "deny"))
	if to != shopBack || q.Get("error") != "access_denied" || q.Get("iss") != issuerURL || q.Get("state") != "s t&e" {
		t.Errorf("to %s with %v", to, q)
	}
	v.get(asking())
	sees(t, v.send("answer", "perhaps"), http.StatusBadRequest, "answer must be allow or deny")
}

// TestForms is of forms that are not the page's.
func TestForms(t *testing.T) {
	t.Parallel()
	f := open(t)
	for name, tc := range map[string]struct {
		request string
		edit    func(v *visitor, form url.Values)
		status  int
		text    string
	}{
		"consent without csrf":       {asking(), func(_ *visitor, form url.Values) { form.Del("csrf") }, 403, "Nobody is signed in"},
		"consent of another browser": {asking(), func(v *visitor, form url.Values) { form.Set("csrf", (&browser{cookie: "x"}).csrf()) }, 403, "Nobody is signed in"},
		"consent without a cookie":   {asking(), func(v *visitor, _ url.Values) { v.cookie = nil }, 403, "Nobody is signed in"},
		"consent to no request":      {asking(), func(_ *visitor, form url.Values) { form.Del("request") }, 400, "client_id is of no app"},
		"consent to another address": {asking(), func(_ *visitor, form url.Values) {
			form.Set("request", strings.Replace(form.Get("request"), "shop.example", "evil.example", 1))
		}, 400, "redirect_uri is none"},
		"sign-in without csrf":      {asking("prompt=login"), func(_ *visitor, form url.Values) { form.Del("csrf") }, 400, "Try again"},
		"sign-in without a cookie":  {asking("prompt=login"), func(v *visitor, _ url.Values) { v.cookie = nil }, 403, "Allow cookies"},
		"sign-in without name":      {asking("prompt=login"), func(_ *visitor, form url.Values) { form.Set("password", "x") }, 400, "Enter your user name"},
		"sign-in to something else": {asking("prompt=login"), func(_ *visitor, form url.Values) { form.Set("request", "client_id=x") }, 400, "client_id is of no app"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := f.signedIn(t)
			v.get(tc.request)
			path, form := formOf(t, v.last, 0)
			form.Set("answer", "allow")
			tc.edit(v, form)
			sees(t, v.post(path, form), tc.status, tc.text)
		})
	}
	for _, path := range []string{"/oauth2/sign-in", "/oauth2/consent", "/account/sign-out", "/account/password", "/oauth2/authorize", "/oauth2/logout"} {
		sees(t, f.do(t, http.MethodPost, path, `{}`, "Content-Type", "application/json"), http.StatusBadRequest, "The content type must be")
	}
}

// TestPageSaysNothingOfOthers sends a page what another site would have it say.
func TestPageSaysNothingOfOthers(t *testing.T) {
	t.Parallel()
	const said = "Call 555: your account is blocked. It"
	w := open(t).form(t, "/oauth2/sign-in", url.Values{said: {"x", "y"}}.Encode())
	sees(t, w, http.StatusBadRequest, "A parameter is given twice.")
	if strings.Contains(w.Body.String(), "555") {
		t.Errorf("%s", w.Body)
	}
	_, q := sentTo(t, open(t).visitor(t).get(asking("+"+said+"\"=x", "+"+said+"\"=y")))
	if got := q.Get("error_description"); got != "a parameter is given twice" { // RFC 6749 §4.1.2.1 has no quotes in it
		t.Errorf("error_description %q", got)
	}
}

// TestPosted is of requests in a form (OpenID Connect Core §3.1.2.1): they get into the
// address, where the browser shows its cookie.
func TestPosted(t *testing.T) {
	t.Parallel()
	f := open(t)
	request := asking("login_hint=a&b")
	_, query, _ := strings.Cut(request, "?")
	w := f.form(t, "/oauth2/authorize", query)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != request {
		t.Errorf("%d to %s, want %s", w.Code, w.Header().Get("Location"), request)
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	f := open(t)
	v := f.signedIn(t)
	v.admitted(asking())
	w := f.do(t, http.MethodHead, asking(), "", v.shown()...)
	if w.Code != http.StatusNoContent || w.Header().Get("Location") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// TestAuthorizeWithoutStore is of a store that does not answer: the app is told if it is
// known by then what to tell.
func TestAuthorizeWithoutStore(t *testing.T) {
	t.Parallel()
	f := open(t)
	v := f.signedIn(t)
	v.admitted(asking())
	v.get(asking("prompt=consent"))
	_, form := formOf(t, v.last, 0)
	form.Set("answer", "allow")
	f.store.Fail(errors.New("disk on fire"))
	for _, w := range []func() int{
		func() int { return v.get(asking()).Code },
		func() int { return v.get("/account").Code },
		func() int { return v.post("/oauth2/consent", form).Code },
	} {
		if got := w(); got != http.StatusInternalServerError || strings.Contains(v.last.Body.String(), "fire") {
			t.Errorf("%d %s", got, v.last.Body)
		}
	}
	f.store.Fail(nil)
	f.people.err = fault.New(fault.Unavailable, "the directory is away")
	sees(t, v.get(asking()), http.StatusServiceUnavailable, "The directory is away.")
}
