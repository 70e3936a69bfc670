package httpx

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCORS(t *testing.T) {
	t.Parallel()
	own := CORS{
		Allow:   func(o string) bool { return o == "https://a.example" },
		Methods: []string{"POST"}, Headers: []string{"Content-Type", "Authorization"},
	}
	for name, tc := range map[string]struct {
		cors      CORS
		method    string
		origin    string
		preflight bool
		status    int
		allow     string
		methods   string
		vary      []string
	}{
		"allowed":            {own, "POST", "https://a.example", false, 418, "https://a.example", "", []string{"Origin"}},
		"other":              {own, "POST", "https://b.example", false, 418, "", "", []string{"Origin"}},
		"other case":         {own, "POST", "https://A.example", false, 418, "", "", []string{"Origin"}},
		"suffix":             {own, "POST", "https://a.example.evil", false, 418, "", "", []string{"Origin"}},
		"opaque":             {CORS{Allow: func(string) bool { return true }}, "POST", "null", false, 418, "", "", []string{"Origin"}},
		"none":               {own, "POST", "", false, 418, "", "", []string{"Origin"}},
		"zero value":         {CORS{}, "POST", "https://a.example", false, 418, "", "", []string{"Origin"}},
		"public":             {CORS{Public: true}, "GET", "https://b.example", false, 418, "*", "", nil},
		"preflight":          {own, "OPTIONS", "https://a.example", true, 204, "https://a.example", "POST", []string{"Origin", "Access-Control-Request-Method, Access-Control-Request-Headers"}},
		"preflight of other": {own, "OPTIONS", "https://b.example", true, 204, "", "", []string{"Origin", "Access-Control-Request-Method, Access-Control-Request-Headers"}},
		"plain OPTIONS":      {own, "OPTIONS", "https://a.example", false, 418, "https://a.example", "", []string{"Origin"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(tc.method, "/", nil)
			if tc.origin != "" {
				r.Header.Set("Origin", tc.origin)
			}
			if tc.preflight {
				r.Header.Set("Access-Control-Request-Method", "POST")
			}
			w := httptest.NewRecorder()
			tc.cors.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusTeapot)
			})).ServeHTTP(w, r)
			h := w.Header()
			if w.Code != tc.status || h.Get("Access-Control-Allow-Origin") != tc.allow || h.Get("Access-Control-Allow-Methods") != tc.methods {
				t.Errorf("got %d %v, want %d, origin %q, methods %q", w.Code, h, tc.status, tc.allow, tc.methods)
			}
			if diff := cmp.Diff(tc.vary, h.Values("Vary")); diff != "" {
				t.Errorf("Vary (-want +got):\n%s", diff)
			}
			if h.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("credentials are allowed")
			}
		})
	}
}

func TestCORSCookies(t *testing.T) {
	t.Parallel()
	c := CORS{
		Allow:   func(origin string) bool { return origin != "https://evil.example" },
		Cookies: func(origin string) bool { return origin != "https://plain.example" },
	}
	for origin, want := range map[string]string{
		"https://a.example": "true", "https://plain.example": "", "https://evil.example": "", "null": "", "": "",
	} {
		h := http.Header{}
		c.Mark(h, origin)
		if got := h.Get("Access-Control-Allow-Credentials"); got != want {
			t.Errorf("cookies of %q: %q, want %q", origin, got, want)
		}
	}
	for _, tc := range []struct{ listed, cookies bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		h := http.Header{}
		c.Mark(h, "https://a.example")
		c.Unmark(h, tc.listed, tc.cookies)
		if got := h.Get("Access-Control-Allow-Origin") != ""; got != tc.listed {
			t.Errorf("%+v: origin allowed = %v", tc, got)
		}
		if got := h.Get("Access-Control-Allow-Credentials") != ""; got != (tc.listed && tc.cookies) {
			t.Errorf("%+v: cookies allowed = %v", tc, got)
		}
	}
	open := http.Header{}
	CORS{Public: true, Cookies: c.Cookies}.Mark(open, "https://a.example")
	if open.Get("Access-Control-Allow-Credentials") != "" {
		t.Error("any page may send cookies")
	}
}
