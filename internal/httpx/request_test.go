package httpx

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestBearer(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"Bearer abc": "abc", "bearer abc": "abc", "BEARER   abc": "abc", "Bearer a b": "a b", "Bearer \tabc": "abc",
		"": "", "Bearer": "", "Bearer ": "", "Basic abc": "", "abc": "", "Bearerabc": "", " Bearer abc": "",
	} {
		if got := Bearer(&http.Request{Header: http.Header{"Authorization": {header}}}); got != want {
			t.Errorf("Bearer(%q) = %q, want %q", header, got, want)
		}
	}
	if got := Bearer(&http.Request{}); got != "" {
		t.Errorf("no header: %q", got)
	}
}

func TestSameOrigin(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		origin, host string
		tls, want    bool
	}{
		{"https://chat.example", "chat.example", false, true},
		{"http://chat.example", "chat.example", false, true},
		{"https://chat.example", "Chat.Example:443", false, true},
		{"http://chat.example", "chat.example:80", false, true},
		{"http://localhost:8080", "localhost:8080", false, true},
		{"https://chat.example", "chat.example", true, true},
		{"http://chat.example", "chat.example", true, false},
		{"https://chat.example", "chat.example:8443", false, false},
		{"https://chat.example:8443", "chat.example", false, false},
		{"https://evil.example", "chat.example", false, false},
		{"https://chat.example/", "chat.example", false, false},
		{"https://me@chat.example", "chat.example", false, false},
		{"ftp://chat.example", "chat.example", false, false},
		{"null", "null", false, false},
		{"", "", false, false},
		{"https://%zz", "chat.example", false, false},
	} {
		r := &http.Request{Host: tc.host}
		if tc.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if got := SameOrigin(tc.origin, r); got != tc.want {
			t.Errorf("SameOrigin(%q) at %q, TLS %t: %t", tc.origin, tc.host, tc.tls, got)
		}
	}
}

func TestOther(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]int{"OPTIONS": 204, "GET": 405, "PUT": 405} {
		w := httptest.NewRecorder()
		Other("POST, OPTIONS").ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/", nil))
		if w.Code != want || w.Header().Get("Allow") != "POST, OPTIONS" {
			t.Errorf("%s: %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
}
