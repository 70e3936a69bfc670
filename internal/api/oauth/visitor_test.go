package oauth

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// The example of RFC 7636 appendix B.
const (
	verifierText  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challengeText = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

const shopBack = "https://shop.example/back"

// asking is an authorization request of app_shop, with changes: name=value sets or adds
// what is there already with a + before it, name alone takes it away.
func asking(changes ...string) string {
	q := url.Values{
		"client_id": {"app_shop"}, "redirect_uri": {shopBack}, "response_type": {"code"}, "scope": {"openid chat"}, "state": {"s t&e"},
		"code_challenge": {challengeText}, "code_challenge_method": {"S256"},
	}
	for _, change := range changes {
		name, value, ok := strings.Cut(change, "=")
		switch more, again := strings.CutPrefix(name, "+"); {
		case again:
			q.Add(more, value)
		case ok:
			q.Set(name, value)
		default:
			q.Del(name)
		}
	}
	return "/oauth2/authorize?" + q.Encode()
}

// visitor is a browser: it has a cookie, one by which it is known again, and the page that
// it got last.
type visitor struct {
	t             *testing.T
	f             *fixture
	cookie, known *http.Cookie
	last          *httptest.ResponseRecorder
}

func (f *fixture) visitor(t *testing.T) *visitor {
	t.Helper()
	return &visitor{t: t, f: f}
}

// signedIn is a browser in which ada is signed in.
func (f *fixture) signedIn(t *testing.T) *visitor {
	t.Helper()
	v := f.visitor(t)
	v.get("/account")
	v.enter("ada", "correct horse")
	if v.last.Code != http.StatusSeeOther {
		t.Fatalf("sign in: %d %s", v.last.Code, v.last.Body)
	}
	return v
}

func (v *visitor) get(path string, header ...string) *httptest.ResponseRecorder {
	v.t.Helper()
	return v.keep(v.f.do(v.t, http.MethodGet, path, "", append(header, v.shown()...)...))
}

func (v *visitor) post(path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	v.t.Helper()
	return v.keep(v.f.form(v.t, path, form.Encode(), append(header, v.shown()...)...))
}

func (v *visitor) shown() (headers []string) {
	for _, c := range []*http.Cookie{v.cookie, v.known} {
		if c != nil {
			headers = append(headers, "Cookie", c.Name+"="+c.Value)
		}
	}
	return headers
}

func (v *visitor) keep(w *httptest.ResponseRecorder) *httptest.ResponseRecorder {
	for _, c := range w.Result().Cookies() {
		if strings.HasSuffix(c.Name, "-known") {
			v.known = c
		} else if v.cookie = c; c.MaxAge < 0 {
			v.cookie = nil
		}
	}
	v.last = w
	return w
}

// send posts the first form of the page with the fields given, in pairs.
func (v *visitor) send(fields ...string) *httptest.ResponseRecorder {
	v.t.Helper()
	path, form := formOf(v.t, v.last, 0)
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return v.post(path, form)
}

func (v *visitor) enter(name, password string) *httptest.ResponseRecorder {
	v.t.Helper()
	return v.send("username", name, "password", password)
}

var (
	formTag  = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)">(.*?)</form>`)
	inputTag = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// formOf is where the n-th form of a page leads, and what it carries unseen.
func formOf(t *testing.T, w *httptest.ResponseRecorder, n int) (path string, form url.Values) {
	t.Helper()
	forms := formTag.FindAllStringSubmatch(w.Body.String(), -1)
	if len(forms) <= n {
		t.Fatalf("%d: there is no form %d in %s", w.Code, n, shown(w))
	}
	form = url.Values{}
	for _, in := range inputTag.FindAllStringSubmatch(forms[n][2], -1) {
		form.Set(in[1], html.UnescapeString(in[2]))
	}
	return forms[n][1], form
}

// sentTo is where a browser is sent, without the query, and that.
func sentTo(t *testing.T, w *httptest.ResponseRecorder) (to string, q url.Values) {
	t.Helper()
	location := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || location == "" { // RFC 9700 §4.12: never 307
		t.Fatalf("%d %s, want 303", w.Code, shown(w))
	}
	to, query, _ := strings.Cut(location, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return to, q
}

// sees checks that a page is shown, and what all pages have.
func sees(t *testing.T, w *httptest.ResponseRecorder, status int, texts ...string) {
	t.Helper()
	if w.Code != status || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v %s, want a page with %d", w.Code, w.Header(), shown(w), status)
	}
	for _, text := range texts {
		if !strings.Contains(w.Body.String(), text) {
			t.Errorf("the page does not say %q: %s", text, shown(w))
		}
	}
	safe(t, w)
}

// shown is a page without its style.
func shown(w *httptest.ResponseRecorder) string {
	_, body, _ := strings.Cut(w.Body.String(), "<main>")
	return body
}

// safe checks the headers that keep what is shown from caches, frames and other sites.
func safe(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Content-Security-Policy": pagePolicy,
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// admitted goes through consent if that is asked, and returns the code.
func (v *visitor) admitted(request string) string {
	v.t.Helper()
	w := v.get(request)
	if w.Code == http.StatusOK {
		w = v.send("answer", "allow")
	}
	_, q := sentTo(v.t, w)
	if q.Get("code") == "" {
		v.t.Fatalf("no code: %v", q)
	}
	return q.Get("code")
}
