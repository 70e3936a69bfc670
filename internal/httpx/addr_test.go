package httpx

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func networks(t *testing.T, s ...string) []netip.Prefix {
	t.Helper()
	out := make([]netip.Prefix, len(s))
	for i := range s {
		out[i] = netip.MustParsePrefix(s[i])
	}
	return out
}

func TestClientAddr(t *testing.T) {
	t.Parallel()
	trusted := networks(t, "10.0.0.0/8", "fd00::/8")
	for name, tc := range map[string]struct {
		remote    string
		forwarded []string
		want      string
	}{
		"direct":                {"192.0.2.1:5", nil, "192.0.2.1"},
		"direct, lying":         {"192.0.2.1:5", []string{"198.51.100.9"}, "192.0.2.1"},
		"proxy":                 {"10.0.0.1:5", []string{"198.51.100.9"}, "198.51.100.9"},
		"proxy, client lying":   {"10.0.0.1:5", []string{"1.1.1.1, 198.51.100.9"}, "198.51.100.9"},
		"two proxies":           {"10.0.0.1:5", []string{"1.1.1.1, 198.51.100.9, 10.2.2.2"}, "198.51.100.9"},
		"two header lines":      {"10.0.0.1:5", []string{"198.51.100.9", "10.2.2.2"}, "198.51.100.9"},
		"all trusted":           {"10.0.0.1:5", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
		"no header":             {"10.0.0.1:5", nil, "10.0.0.1"},
		"rubbish":               {"10.0.0.1:5", []string{"198.51.100.9, unknown"}, "10.0.0.1"},
		"rubbish behind a hop":  {"10.0.0.1:5", []string{"x, 10.2.2.2"}, "10.2.2.2"},
		"port":                  {"10.0.0.1:5", []string{"198.51.100.9:4711"}, "198.51.100.9"},
		"bracketed":             {"[fd00::1]:5", []string{"[2001:db8::1]"}, "2001:db8::1"},
		"bracketed with port":   {"[fd00::1]:5", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		"IPv4 in IPv6":          {"[::ffff:10.0.0.1]:5", []string{"::ffff:198.51.100.9"}, "198.51.100.9"},
		"zone":                  {"[fe80::1%eth0]:5", nil, "fe80::1"},
		"Unix socket, no peer":  {"@", []string{"198.51.100.9"}, ""},
		"empty elements, proxy": {"10.0.0.1:5", []string{"198.51.100.9,"}, "10.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tc.remote
			r.Header["X-Forwarded-For"] = tc.forwarded
			var want netip.Addr
			if tc.want != "" {
				want = netip.MustParseAddr(tc.want)
			}
			if got := ClientAddr(trusted)(r); got != want {
				t.Errorf("ClientAddr() = %v, want %v", got, want)
			}
		})
	}
}

func TestTrusts(t *testing.T) {
	t.Parallel()
	trusts := Trusts(networks(t, "10.0.0.0/8"))
	for remote, want := range map[string]bool{"10.0.0.1:5": true, "[::ffff:10.0.0.1]:5": true, "192.0.2.1:5": false, "@": false} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = remote
		r.Header.Set("X-Forwarded-For", "10.0.0.2")
		if got := trusts(r); got != want {
			t.Errorf("%s is trusted: %t", remote, got)
		}
	}
}

func TestRequireHTTPS(t *testing.T) {
	t.Parallel()
	trusted := networks(t, "10.0.0.0/8", "127.0.0.9/32")
	for name, tc := range map[string]struct {
		remote string
		proto  []string
		tls    bool
		want   int
	}{
		"plain":                      {"192.0.2.1:5", nil, false, 403},
		"TLS":                        {"192.0.2.1:5", nil, true, 200},
		"loopback":                   {"127.0.0.1:5", nil, false, 200},
		"loopback, IPv6":             {"[::1]:5", nil, false, 200},
		"proxy says https":           {"10.0.0.1:5", []string{"https"}, false, 200},
		"proxy says HTTPS":           {"10.0.0.1:5", []string{"HTTPS"}, false, 200},
		"proxy says http":            {"10.0.0.1:5", []string{"http"}, false, 403},
		"proxy says nothing":         {"10.0.0.1:5", nil, false, 403},
		"stranger says https":        {"192.0.2.1:5", []string{"https"}, false, 403},
		"client's word before proxy": {"10.0.0.1:5", []string{"https, http"}, false, 403},
		"client's line before proxy": {"10.0.0.1:5", []string{"https", "http"}, false, 403},
		"local proxy says http":      {"127.0.0.9:5", []string{"http"}, false, 403},
		"local proxy says nothing":   {"127.0.0.9:5", nil, false, 200},
		"TLS, proxy says http":       {"10.0.0.1:5", []string{"http"}, true, 403},
		"TLS, proxy says nothing":    {"10.0.0.1:5", nil, true, 200},
		"TLS, stranger says http":    {"192.0.2.1:5", []string{"http"}, true, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tc.remote
			r.Header["X-Forwarded-Proto"] = tc.proto
			if tc.tls {
				r.TLS = &tls.ConnectionState{}
			}
			w := httptest.NewRecorder()
			RequireHTTPS(trusted)(http.NotFoundHandler()).ServeHTTP(w, r)
			if want := map[int]int{200: 404, 403: 403}[tc.want]; w.Code != want {
				t.Errorf("status = %d, want %d", w.Code, want)
			}
		})
	}
}

func TestLoopbackHost(t *testing.T) {
	t.Parallel()
	h := LoopbackHost(http.NotFoundHandler())
	for host, want := range map[string]int{
		"127.0.0.1:8001": 404, "127.0.0.1": 404, "[::1]:8001": 404, "localhost:8001": 404, "LOCALHOST.": 404,
		"node.localhost": 404, "": 404, "10.0.0.1:8001": 404, "evil.example:8001": 403, "localhost.evil.example": 403,
		"127.0.0.1.evil.example": 403, "evillocalhost": 403,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %q: %d, want %d", host, w.Code, want)
		}
	}
}
