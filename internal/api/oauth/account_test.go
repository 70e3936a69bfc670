package oauth

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/limit"
)

// TestAccount is of what people see of their sign-ins, and of what they can end.
func TestAccount(t *testing.T) {
	t.Parallel()
	f := open(t)
	v := f.signedIn(t)
	code := v.admitted(asking("scope=openid offline_access"))
	a := granted(t, f.form(t, "/oauth2/token", redeeming(code), shopBasic...))
	phone := f.visitor(t)
	phone.get("/account")
	path, form := formOf(t, phone.last, 0)
	form.Set("username", "ada")
	form.Set("password", "correct horse")
	phone.post(path, form, "User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1", "From", "203.0.113.7")

	w := v.get("/account")
	sees(t, w, http.StatusOK, "ada", "Safari, iPhone", "203.0.113.0/24", "The &lt;Shop&gt;", "(this browser)", "2026-06-01 12:00 UTC", "Change password")
	if n := strings.Count(w.Body.String(), `name="id"`); n != 3 {
		t.Errorf("%d places, want 3: %s", n, shown(w))
	}
	if strings.Contains(w.Body.String(), a.RefreshToken[3:25]) {
		t.Error("the page has the part of a refresh token that names the family")
	}

	// out of the app: it has to ask again
	end(t, v, "The &lt;Shop&gt;")
	if to, q := sentTo(t, v.last); to != "/account" || q.Get("done") != "sign-out" {
		t.Errorf("to %s %v", to, q)
	}
	sees(t, v.get("/account?done=sign-out"), http.StatusOK, "That sign-in has ended.")
	refused(t, f.form(t, "/oauth2/token", "grant_type=refresh_token&refresh_token="+a.RefreshToken, shopBasic...), 400, "invalid_grant")
	if _, err := f.access.Verify(t.Context(), a.AccessToken); err == nil {
		t.Error("the app's access token is still good")
	}
	sees(t, v.get(asking()), http.StatusOK, "use your account?")

	// out of the phone
	v.get("/account")
	end(t, v, "Safari, iPhone")
	sees(t, phone.get("/account"), http.StatusOK, `name="password"`)
	sees(t, v.get("/account"), http.StatusOK, "Your account")

	// out of here
	end(t, v, "this browser")
	sees(t, v.last, http.StatusOK, "You are signed out")
	if v.cookie != nil {
		t.Errorf("the cookie stays: %v", v.cookie)
	}
	sees(t, v.get("/account"), http.StatusOK, `name="password"`)
}

// TestWithdraw takes back what an app may do that is signed in nowhere: it got no refresh
// token.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	f := open(t)
	v := f.signedIn(t)
	v.admitted(asking())
	v.get("/account")
	end(t, v, "The &lt;Shop&gt;")
	if to, q := sentTo(t, v.last); to != "/account" || q.Get("done") != "sign-out" {
		t.Errorf("to %s %v", to, q)
	}
	if w := v.get("/account"); strings.Contains(w.Body.String(), "Shop") {
		t.Errorf("the app is still there: %s", shown(w))
	}
	sees(t, v.get(asking()), http.StatusOK, "use your account?")
	v.send("answer", "allow")
	granted(t, f.form(t, "/oauth2/token", redeeming(v.admitted(asking("scope=openid offline_access"))), shopBasic...))
	if n := strings.Count(v.get("/account").Body.String(), "The &lt;Shop&gt;"); n != 1 {
		t.Errorf("an app that is signed in is there %d times", n)
	}
}

// end presses the button of the place that says text.
func end(t *testing.T, v *visitor, text string) {
	t.Helper()
	before, _, ok := strings.Cut(v.last.Body.String(), text)
	if !ok {
		t.Fatalf("no place %q in %s", text, shown(v.last))
	}
	path, form := formOf(t, v.last, strings.Count(before, "<form"))
	v.post(path, form)
}

func TestSignOutEverywhere(t *testing.T) {
	t.Parallel()
	f := open(t)
	v, other := f.signedIn(t), f.signedIn(t)
	refreshed := granted(t, f.form(t, "/oauth2/token", redeeming(v.admitted(asking("scope=openid offline_access"))), shopBasic...))
	plain := granted(t, f.form(t, "/oauth2/token", redeeming(other.admitted(asking())), shopBasic...))
	login := granted(t, f.form(t, "/login", "username=ada&password=correct+horse"))
	v.get("/account")
	path, form := formOf(t, v.last, strings.Count(v.last.Body.String(), "<form")-2)
	v.post(path, form)
	sees(t, v.last, http.StatusOK, "You are signed out")
	for what, token := range map[string]string{"with a refresh token": refreshed.AccessToken, "without": plain.AccessToken, "of /login": login.AccessToken} {
		if _, err := f.access.Verify(t.Context(), token); err == nil {
			t.Errorf("the access token %s is still good", what)
		}
	}
	refused(t, f.form(t, "/oauth2/token", "grant_type=refresh_token&refresh_token="+refreshed.RefreshToken, shopBasic...), 400, "invalid_grant")
	refused(t, f.form(t, "/oauth2/token", "grant_type=refresh_token&refresh_token="+login.RefreshToken), 400, "invalid_grant")
	sees(t, other.get("/account"), http.StatusOK, `name="password"`)
	again := granted(t, f.form(t, "/login", "username=ada&password=correct+horse"))
	if _, err := f.access.Verify(t.Context(), again.AccessToken); err != nil {
		t.Errorf("who signs in again at once: %v", err)
	}
}

// TestLeaveRefuses is of sign-ins that are not the person's to end.
func TestLeaveRefuses(t *testing.T) {
	t.Parallel()
	f := open(t)
	v := f.signedIn(t)
	v.get("/account")
	path, form := formOf(t, v.last, 0)
	form.Set("id", "another")
	sees(t, v.post(path, form), http.StatusNotFound, "ended already")
	form.Set("csrf", "x")
	form.Set("everywhere", "yes")
	sees(t, v.post(path, form), http.StatusForbidden)
	sees(t, v.get("/account"), http.StatusOK, "Your account")
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		old, fresh string
		err        error
		status     int
		text       string
	}{
		"right":               {"correct horse", "battery staple", nil, http.StatusSeeOther, ""},
		"wrong":               {"wrong horse", "battery staple", nil, http.StatusBadRequest, "The old password is wrong."},
		"short":               {"correct horse", "short", nil, http.StatusBadRequest, "8 to 1024"},
		"the node is busy":    {"correct horse", "battery staple", fault.New(fault.Unavailable, "busy"), http.StatusServiceUnavailable, "Try again in a moment"},
		"a fault of the node": {"correct horse", "battery staple", errors.New("disk on fire"), http.StatusInternalServerError, "Internal error."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			v, other := f.signedIn(t), f.signedIn(t)
			thief := f.visitor(t)
			thief.cookie = v.cookie
			before := granted(t, f.form(t, "/login", "username=ada&password=correct+horse"))
			v.get("/account")
			path, form := formOf(t, v.last, strings.Count(v.last.Body.String(), "<form")-1)
			form.Set("old", tc.old)
			form.Set("new", tc.fresh)
			f.people.failing = tc.err
			w := v.post(path, form)
			f.people.failing = nil
			if tc.status != http.StatusSeeOther {
				sees(t, w, tc.status, tc.text)
				sees(t, other.get("/account"), http.StatusOK, "Your account")
				if f.people.changed != 0 {
					t.Error("the password is changed")
				}
				return
			}
			sees(t, v.get(w.Header().Get("Location")), http.StatusOK, "Your password is changed.", "(this browser)")
			sees(t, other.get("/account"), http.StatusOK, "Sign in")
			sees(t, thief.get("/account"), http.StatusOK, "Sign in")
			refused(t, f.form(t, "/oauth2/token", "grant_type=refresh_token&refresh_token="+before.RefreshToken), 400, "invalid_grant")
			if _, err := f.access.Verify(t.Context(), before.AccessToken); err == nil {
				t.Error("an access token from before is still good")
			}
		})
	}
}

// TestPagesAreLimited is of the limits that /login has, which count for the pages, too.
func TestPagesAreLimited(t *testing.T) {
	t.Parallel()
	three := func() *limit.Limiter { return limit.New(limit.Rate{N: 3, Per: time.Minute}, 16) }
	for name, tc := range map[string]struct {
		limit   func(*Config)
		another string // an address from which it goes on; empty: none
	}{
		"from one address":           {func(c *Config) { c.LoginPerAddr = three() }, "198.51.100.1"},
		"for one name, of a network": {func(c *Config) { c.LoginPerUser = three() }, "198.51.100.1"},
		"for one name, of all":       {func(c *Config) { c.LoginPerName = three() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t, tc.limit)
			try := func(from, password string) *visitor {
				v := f.visitor(t)
				v.get("/account")
				path, form := formOf(t, v.last, 0)
				form.Set("username", "ada")
				form.Set("password", password)
				v.post(path, form, "From", from)
				return v
			}
			for range 2 {
				sees(t, try("203.0.113.1", "guess").last, http.StatusBadRequest, "The user name or the password is wrong.", `role="alert"`)
			}
			f.form(t, "/login", "username=ada&password=guess", "From", "203.0.113.1")
			w := try("203.0.113.1", "correct horse").last
			sees(t, w, http.StatusTooManyRequests, "too many tries", `value="ada"`)
			if w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			if tc.another != "" {
				v := try(tc.another, "correct horse")
				if v.last.Code != http.StatusSeeOther {
					t.Errorf("the user is locked out: %d %s", v.last.Code, shown(v.last))
				}
			}
		})
	}
	t.Run("not by others, in a browser that is known", func(t *testing.T) {
		t.Parallel()
		f := open(t, func(c *Config) { c.LoginPerAddr, c.LoginPerUser, c.LoginPerName = three(), three(), three() })
		v := f.signedIn(t)
		k := v.known
		if k == nil || k.Name != "__Host-carnet-known" || !k.Secure || !k.HttpOnly || k.SameSite != http.SameSiteLaxMode || k.Path != "/" || k.MaxAge != 365*86400 {
			t.Fatalf("the browser is not known: %v", k)
		}
		v.get("/account")
		end(t, v, "this browser")
		for range 5 {
			f.form(t, "/login", "username=ada&password=guess")
			f.form(t, "/login", "username=ada&password=guess", "From", "198.51.100.9")
		}
		stranger := f.visitor(t)
		stranger.get("/account")
		sees(t, stranger.enter("ada", "correct horse"), http.StatusTooManyRequests)
		for range 2 {
			v.get("/account")
			sees(t, v.enter("ada", "guess"), http.StatusBadRequest)
		}
		if w := v.enter("ada", "correct horse"); w.Code != http.StatusSeeOther {
			t.Errorf("the user is locked out: %d %s", w.Code, shown(w))
		}
		v.known, v.cookie = k, nil
		v.get("/account")
		sees(t, v.enter("ada", "correct horse"), http.StatusTooManyRequests)
	})
	t.Run("changing a password", func(t *testing.T) {
		t.Parallel()
		f := open(t, func(c *Config) { c.LoginPerUser = three() })
		v := f.signedIn(t)
		for i := range 4 { // its tries are its own, since it is known
			v.get("/account")
			path, form := formOf(t, v.last, strings.Count(v.last.Body.String(), "<form")-1)
			form.Set("old", "guess")
			form.Set("new", "battery staple")
			want := http.StatusBadRequest
			if i == 3 {
				want = http.StatusTooManyRequests
			}
			sees(t, v.post(path, form), want)
		}
	})
}

// TestElsewhere is of people whose password is not kept here.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.people.id = "ext_eve"
	v := f.signedIn(t)
	w := v.get("/account")
	if strings.Contains(w.Body.String(), "Change password") {
		t.Errorf("there is a form for a password: %s", shown(w))
	}
	_, form := formOf(t, w, 0)
	form.Set("old", "correct horse")
	form.Set("new", "battery staple")
	sees(t, v.post("/account/password", form), http.StatusForbidden, "not kept here")
}

// TestAnotherPerson signs in where somebody is signed in.
func TestAnotherPerson(t *testing.T) {
	t.Parallel()
	f := open(t)
	v := f.signedIn(t)
	first := v.cookie
	f.people.id = "usr_bob"
	v.get(asking("prompt=login"))
	v.enter("ada", "correct horse")
	for cookie, want := range map[*http.Cookie]string{first: "Sign in", v.cookie: "Your account"} {
		v.cookie = cookie
		sees(t, v.get("/account"), http.StatusOK, want)
	}
}

func TestLogout(t *testing.T) {
	t.Parallel()
	back := "&client_id=app_shop&post_logout_redirect_uri=" + url.QueryEscape(shopBack)
	for name, tc := range map[string]struct{ query, to string }{
		"by oneself":              {"", ""},
		"back to the app":         {"state=a+b" + back, shopBack + "?state=a+b"},
		"without a state":         {back, shopBack},
		"an address with a query": {"state=x&client_id=app_shop&post_logout_redirect_uri=" + url.QueryEscape(shopBack+"?tab=1"), shopBack + "?tab=1&state=x"},
		"by an ID token":          {"id_token_hint=" + hintOf("usr_ada") + "&post_logout_redirect_uri=" + shopBack, shopBack},
		"by a broken one":         {"id_token_hint=x&post_logout_redirect_uri=" + shopBack, ""},
		"by a broken one, too":    {"id_token_hint=x" + back, ""},
		"by another server's":     {"id_token_hint=" + hintFrom("https://other.example", "usr_ada") + back, ""},
		"to another address":      {"client_id=app_shop&post_logout_redirect_uri=https://evil.example/", ""},
		"of no app":               {"post_logout_redirect_uri=" + shopBack, ""},
		"of an app and another":   {"client_id=app_own&id_token_hint=" + hintOf("usr_ada") + "&post_logout_redirect_uri=https://own.example/back", ""},
		"of a disabled one":       {"client_id=app_off&post_logout_redirect_uri=" + shopBack, ""},
		"broken":                  {"%zz", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			v := f.signedIn(t)
			sees(t, v.get("/oauth2/logout?"+tc.query), http.StatusOK, "Do you want to sign out?", "ada")
			check := func(what string) {
				t.Helper()
				if tc.to == "" {
					sees(t, v.last, http.StatusOK, "You are signed out")
				} else if got := v.last.Header().Get("Location"); v.last.Code != http.StatusSeeOther || got != tc.to {
					t.Errorf("%s: %d to %q, want %q", what, v.last.Code, got, tc.to)
				}
			}
			v.send()
			check("signed out")
			sees(t, v.get("/account"), http.StatusOK, `name="password"`)
			v.get("/oauth2/logout?" + tc.query)
			check("once more")
		})
	}
	f := open(t)
	if w := f.form(t, "/oauth2/logout", back[1:]); w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/oauth2/logout?client_id") {
		t.Errorf("posted: %d %v", w.Code, w.Header())
	}
}

func TestUserInfo(t *testing.T) {
	t.Parallel()
	f := open(t)
	v := f.signedIn(t)
	token := func(scope string) string {
		code := v.admitted(asking("scope=" + scope))
		return granted(t, f.form(t, "/oauth2/token", redeeming(code), shopBasic...)).AccessToken
	}
	for scope, want := range map[string]string{"openid": `{"sub":"usr_ada"}`, "openid profile": `{"sub":"usr_ada","preferred_username":"ada"}`} {
		for _, method := range []string{http.MethodGet, http.MethodPost} { // OpenID Connect Core §5.3.1
			w := f.do(t, method, "/oauth2/userinfo", "", "Authorization", "Bearer "+token(scope), "Origin", "https://any.example")
			if w.Code != http.StatusOK || w.Body.String() != want || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s %s: %d %s %v, want %s", method, scope, w.Code, w.Body, w.Header(), want)
			}
		}
	}
	good := token("openid")
	for name, tc := range map[string]struct {
		header string
		gone   string
		status int
		code   string
	}{
		"RFC 6750 §3 nothing":         {"", "", 401, "Bearer"},
		"RFC 6750 §3.1 a broken one":  {"Bearer " + good + "x", "", 401, `Bearer error="invalid_token"`},
		"RFC 6750 §3.1 without scope": {"Bearer " + token("chat"), "", 403, `Bearer error="insufficient_scope", scope="openid"`},
		"RFC 6750 §3.1 malformed":     {"Bearer ", "", 400, `Bearer error="invalid_request"`},
		"somebody who is no more":     {"Bearer " + good, "usr_ada", 401, `Bearer error="invalid_token"`},
	} {
		var header []string
		if tc.header != "" {
			header = []string{"Authorization", tc.header}
		}
		f.people.gone = tc.gone
		w := f.do(t, http.MethodGet, "/oauth2/userinfo", "", header...)
		f.people.gone = ""
		if w.Code != tc.status || w.Header().Get("WWW-Authenticate") != tc.code {
			t.Errorf("%s: %d %v %s", name, w.Code, w.Header(), w.Body)
		}
	}
	preflight := f.do(t, http.MethodOptions, "/oauth2/userinfo", "", "Origin", "https://any.example", "Access-Control-Request-Method", "GET")
	if preflight.Code != http.StatusNoContent || preflight.Header().Get("Access-Control-Allow-Headers") != "Authorization" {
		t.Errorf("preflight: %d %v", preflight.Code, preflight.Header())
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "curl/8.0": "", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0": "Firefox, Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0": "Edge, Windows",
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36":              "Chrome, Android",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15": "Safari, Mac",
		"Something on Linux": "Linux", "Firefox/1": "Firefox",
	} {
		if got := agent(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	for addr, want := range map[string]string{"203.0.113.9": "203.0.113.0/24", "2001:db8:1:2::3": "2001:db8:1::/48", "127.0.0.1": "", "::1": ""} {
		if got := network(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is in %q, want %q", addr, got, want)
		}
	}
	if got := network(netip.Addr{}); got != "" {
		t.Errorf("nowhere is in %q", got)
	}
}
