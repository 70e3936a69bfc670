package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// full is a page with all that any page shows; what comes from outside would be markup.
func full() page {
	const evil = `"><script>alert(1)</script>`
	return page{
		Heading: "Heading " + evil, Problem: "Problem " + evil, Field: "new", Done: "Done", CSRF: "csrf", ID: "id", Request: evil, Path: "/path",
		App: evil, Name: evil, Switch: "/oauth2/authorize?x=" + evil, Back: evil, Rights: []right{{Text: "right"}, {Text: "right", Scope: evil}},
		Places: []place{{ID: evil, Where: evil, Network: "203.0.113.0/24", Here: true, Since: time.Unix(0, 0)}}, Password: true,
		Text: evil, Ask: "Ask", Link: "/account", LinkText: "Link",
	}
}

// TestPages renders each page with everything, and with nothing.
func TestPages(t *testing.T) {
	t.Parallel()
	h := New(Config{Title: "<Title>"})
	for _, name := range []string{"sign-in", "consent", "account", "message"} {
		for what, p := range map[string]page{"full": full(), "empty": {}} {
			w := httptest.NewRecorder()
			if err := h.render(w, http.StatusOK, name, p); err != nil {
				t.Errorf("%s %s: %v", what, name, err)
				continue
			}
			body := w.Body.String()
			if strings.Contains(strings.ToLower(body), "<script") || strings.Contains(body, "<Title>") || !strings.Contains(body, `<html lang="en" dir="ltr">`) {
				t.Errorf("%s %s: %s", what, name, body)
			}
			if strings.Contains(body, "ZgotmplZ") || strings.Contains(body, "<no value>") {
				t.Errorf("%s %s has what the template did not want: %s", what, name, shown(w))
			}
			_, style, _ := strings.Cut(body, "<style>")
			style, _, _ = strings.Cut(style, "</style>")
			sum := sha256.Sum256([]byte(style))
			if want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(pagePolicy, want) {
				t.Errorf("%s: the policy %q does not allow the page's style", name, pagePolicy)
			}
		}
	}
}

// TestWords looks for words that were forgotten.
func TestWords(t *testing.T) {
	t.Parallel()
	for _, w := range languages {
		v := reflect.ValueOf(*w)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%s: %s has no words", w.Lang, v.Type().Field(i).Name)
			}
		}
		if strings.Count(w.Consents, "%s") != 1 {
			t.Errorf("%s: %q has no place for the app", w.Lang, w.Consents)
		}
		for scope := range english.Rights {
			if w.Rights[scope] == "" {
				t.Errorf("%s: the scope %s has no words", w.Lang, scope)
			}
		}
	}
}

func TestSentence(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]fault.Error{
		"It is late.":       {Msg: "it is late"},
		"scope is wrong.":   {Field: "scope", Msg: "is wrong"},
		"Already a whole.":  {Msg: "Already a whole."},
		".":                 {},
		"answer must be x.": {Field: "answer", Msg: "must be x"},
	} {
		if got := sentence(e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// FuzzAsked reads authorization requests: nobody is sent to an address that the app has
// not registered, and what goes on after a sign-in is read as the same request.
func FuzzAsked(f *testing.F) {
	h := New(Config{Apps: directory{"app_shop": {ID: "app_shop", RedirectURIs: []string{shopBack}, UserScopes: []string{"chat"}}}})
	for _, request := range []string{asking(), asking("scope", "prompt=login consent", "max_age=1"), asking("redirect_uri=https://evil.example/"), asking("+state=x")} {
		_, query, _ := strings.Cut(request, "?")
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := h.readAsked(query)
		if q == nil {
			return
		}
		if !q.app.Redirects(q.back) {
			t.Fatalf("back to %q", q.back)
		}
		if err != nil {
			return
		}
		again, err := h.readAsked(q.again())
		if err != nil || again.back != q.back || again.state != q.state || again.challenge != q.challenge || again.nonce != q.nonce || again.consent != q.consent || again.login {
			t.Fatalf("%+v goes on as %+v, %v", q, again, err)
		}
	})
}
