package oauth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSpoken(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ locales, accept, want string }{
		"nothing wanted":            {"", "", "en"},
		"what there is not":         {"fr", "fr-CA, fr;q=0.9", "en"},
		"the browser's":             {"", "de", "de"},
		"its first that there is":   {"", "fr, de, en", "de"},
		"its best that there is":    {"", "en;q=0.5, fr, de;q=0.8", "de"},
		"one that is not wanted":    {"", "de;q=0, en;q=0.1", "en"},
		"a country's":               {"", "de-AT", "de"},
		"any":                       {"", "*", "en"},
		"in capitals":               {"", "DE", "de"},
		"no number":                 {"", "de;q=best, en;q=0.1", "en"},
		"the app's before":          {"de", "en", "de"},
		"the app's first":           {"fr de en", "en", "de"},
		"the app's is not there":    {"fr", "de", "de"},
		"what only begins like one": {"deu", "den", "en"},
		"too many":                  {strings.Repeat("fr ", maxWanted) + "de", strings.Repeat("fr,", maxWanted) + "de", "en"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.Header.Set("Accept-Language", tc.accept)
			if got := spoken(r, tc.locales); got.Lang != tc.want {
				t.Errorf("spoken() = %s, want %s", got.Lang, tc.want)
			}
		})
	}
}

// TestGerman goes through the pages as somebody does whose app, or browser, wants German.
func TestGerman(t *testing.T) {
	t.Parallel()
	const lang = `<html lang="de" dir="ltr">`
	f := open(t)
	v := f.visitor(t)
	page := func(what string, w *httptest.ResponseRecorder, status int, text string) {
		t.Helper()
		if w.Code != status || !strings.Contains(w.Body.String(), lang) || !strings.Contains(w.Body.String(), text) {
			t.Errorf("%s: %d, or %q is missing: %s", what, w.Code, text, shown(w))
		}
	}
	request := asking("ui_locales=de")
	page("sign-in", v.get(request), 200, "um fortzufahren mit")
	page("wrong password", v.enter("ada", "wrong"), 400, "oder das Passwort ist falsch.")
	v.enter("ada", "correct horse")
	page("consent", v.get(v.last.Header().Get("Location")), 200, "Darf The &lt;Shop&gt; Ihr Konto benutzen?")
	page("logout", v.get("/oauth2/logout?ui_locales=de"), 200, "Möchten Sie sich abmelden?")
	page("account", v.get("/account", "Accept-Language", "de-CH"), 200, "Wo Sie angemeldet sind")
	path, form := formOf(t, v.last, 2)
	if path != "/account/password" {
		t.Fatal(path)
	}
	form.Set("old", "wrong")
	form.Set("new", "another horse")
	page("password", v.post(path, form, "Accept-Language", "de"), 400, "Das alte Passwort ist falsch.")
	page("stale", v.post("/account/sign-out", url.Values{}, "Accept-Language", "de"), 403, "Es ist niemand mehr angemeldet.")
	page("no cookie", f.form(t, "/oauth2/sign-in", "", "Accept-Language", "de"), 403, "Dieser Browser hat sein Cookie nicht geschickt.")
	page("a wrong request", v.get("/oauth2/authorize?client_id=x&ui_locales=de"), 400, `<p lang="en">client_id is of no app`)
	page("signed out", f.do(t, http.MethodGet, "/oauth2/logout?ui_locales=de", ""), 200, "Sie sind abgemeldet")
}

// FuzzAccepted reads what browsers send: each language that comes out went in.
func FuzzAccepted(f *testing.F) {
	f.Add("de-AT, de;q=0.9, en;q=0.8, *;q=0.1")
	f.Add(",;q=,de;q=1e400,q=1")
	f.Fuzz(func(t *testing.T, header string) {
		tags := accepted(header)
		if len(tags) > maxWanted {
			t.Errorf("%d languages", len(tags))
		}
		for _, tag := range tags {
			if !strings.Contains(header, tag) {
				t.Errorf("%q is not in %q", tag, header)
			}
		}
		if again := accepted(strings.Join(tags, ",")); !slices.Equal(again, tags) {
			t.Errorf("read again (-want +got):\n%s", cmp.Diff(tags, again))
		}
	})
}
