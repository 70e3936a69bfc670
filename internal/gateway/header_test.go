package gateway

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKindOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]kind{
		"X-Consumer-Id":            identity,
		"X-Consumer-Username":      identity,
		"X-Consumer-Custom-Id":     identity,
		"X-Consumer-Groups":        identity,
		"X-Credential-Identifier":  identity,
		"X-Anonymous-Consumer":     identity,
		"x-consumer-id":            identity,
		"X_consumer_id":            identity,
		"X_consumer-Custom_ID":     identity,
		"x-CREDENTIAL_identifier":  identity,
		"X.Consumer+Id":            identity,
		"x-original_URL":           forwarding,
		"X-Rewrite-Url":            forwarding,
		"X-Original-Uri":           forwarding,
		"X-Original-Method":        forwarding,
		"X-Original-Host":          forwarding,
		"x_forwarded_uri":          forwarding,
		"X-Forwarded-Method":       forwarding,
		"X-Forwarded-For":          forwarding,
		"X_forwarded_proto":        forwarding,
		"Forwarded":                forwarding,
		"X-Real-Ip":                forwarding,
		"X-Forwarded-Client-Cert":  ordinary,
		"X-Consumer":               ordinary,
		"X-Consumer-Idx":           ordinary,
		"Xx-Consumer-Id":           ordinary,
		"X-Consumer-Id-":           ordinary,
		"Authorization":            ordinary,
		"":                         ordinary,
		"X":                        ordinary,
		"X-Credential-Identifiers": ordinary,
	} {
		if got := kindOf(name); got != want {
			t.Errorf("kindOf(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestKindOfDoesNotAllocate(t *testing.T) { // AllocsPerRun wants to be alone
	if n := testing.AllocsPerRun(100, func() { kindOf("X_Credential_Identifier") }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestPeerOf(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"192.0.2.1:5": "192.0.2.1", "[::ffff:10.1.1.1]:5": "10.1.1.1", "[fe80::1%eth0]:5": "fe80::1", "[::1]:5": "::1", "@": "0.0.0.0",
	} {
		if got := peerOf(&http.Request{RemoteAddr: remote}); got.String() != want {
			t.Errorf("peerOf(%q) = %v, want %s", remote, got, want)
		}
	}
}

func TestWhoIsBehindTheProxies(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		says func(*http.Request) netip.Addr
		want string
	}{
		"told":       {func(*http.Request) netip.Addr { return netip.MustParseAddr("2001:db8::1") }, "2001:db8::1"},
		"not known":  {func(*http.Request) netip.Addr { return netip.Addr{} }, "192.0.2.1"},
		"not looked": {nil, "192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, err := New(t.Context(), Options{Config: oneRoute("http://h", Plugins{}), ClientAddr: tc.says})
			if err != nil {
				t.Fatal(err)
			}
			r := &http.Request{Method: "GET", URL: &url.URL{Path: "/demo"}, RemoteAddr: "192.0.2.1:5", Header: http.Header{}}
			if d := g.decide(r, now); d.request.addr.String() != tc.want || d.peer.String() != "192.0.2.1" {
				t.Errorf("client %v, peer %v; want %s behind 192.0.2.1", d.request.addr, d.peer, tc.want)
			}
		})
	}
}

func TestForward(t *testing.T) {
	t.Parallel()
	said := http.Header{
		"X-Forwarded-For": {"1.1.1.1", "2.2.2.2"}, "X-Forwarded-Host": {"public.example"}, "X-Forwarded-Proto": {"https"},
		"X-Forwarded-Port": {"443"}, "X-Forwarded-Prefix": {"/p"},
	}
	client, peer := netip.MustParseAddr("2.2.2.2"), netip.MustParseAddr("10.0.0.1")
	for name, tc := range map[string]struct {
		in      *http.Request
		trusted bool
		want    http.Header
	}{
		"not trusted": {&http.Request{Host: "h:1", Header: said}, false, http.Header{
			"X-Forwarded-For": {"10.0.0.1"}, "X-Forwarded-Host": {"h:1"}, "X-Forwarded-Proto": {"http"}, "X-Real-Ip": {"2.2.2.2"},
		}},
		"over TLS": {&http.Request{Host: "h", TLS: &tls.ConnectionState{}}, false, http.Header{
			"X-Forwarded-For": {"10.0.0.1"}, "X-Forwarded-Host": {"h"}, "X-Forwarded-Proto": {"https"}, "X-Real-Ip": {"2.2.2.2"},
		}},
		"trusted": {&http.Request{Host: "h", Header: said}, true, http.Header{
			"X-Forwarded-For": {"1.1.1.1, 2.2.2.2, 10.0.0.1"}, "X-Forwarded-Host": {"public.example"}, "X-Forwarded-Proto": {"https"},
			"X-Forwarded-Port": {"443"}, "X-Forwarded-Prefix": {"/p"}, "X-Real-Ip": {"2.2.2.2"},
		}},
		"trusted but silent": {&http.Request{Host: "h"}, true, http.Header{
			"X-Forwarded-For": {"10.0.0.1"}, "X-Forwarded-Host": {"h"}, "X-Forwarded-Proto": {"http"}, "X-Real-Ip": {"2.2.2.2"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			forward(h, tc.in, client, peer, tc.trusted)
			if d := cmp.Diff(tc.want, h); d != "" {
				t.Errorf("headers (-want +got):\n%s", d)
			}
		})
	}
}

func TestSecure(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		protos  []string
		tls     bool
		trusted bool
		want    bool
	}{
		"plain":                  {nil, false, true, false},
		"TLS":                    {nil, true, false, true},
		"stranger says https":    {[]string{"https"}, false, false, false},
		"stranger says http":     {[]string{"http"}, true, false, true},
		"proxy says https":       {[]string{"HTTPS"}, false, true, true},
		"proxy over TLS, http":   {[]string{"http"}, true, true, false},
		"the nearest is http":    {[]string{"https, http"}, false, true, false},
		"the nearest says https": {[]string{"http", "http , https "}, false, true, true},
	} {
		r := &http.Request{Header: http.Header{"X-Forwarded-Proto": tc.protos}}
		if tc.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if got := secure(r, tc.trusted); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestStripHop(t *testing.T) {
	t.Parallel()
	h := http.Header{
		"Connection": {"close, x-a", "X-B"}, "X-A": {"1"}, "X-B": {"1"}, "X-C": {"1"}, "Te": {"trailers"},
		"Upgrade": {"websocket"}, "Trailer": {"X-D"}, "Keep-Alive": {"1"}, "Proxy-Authorization": {"x"},
	}
	stripHop(h)
	if d := cmp.Diff(http.Header{"X-C": {"1"}}, h); d != "" {
		t.Errorf("headers (-want +got):\n%s", d)
	}
}

func TestWithoutTunnel(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		upgrade []string
		keep    bool
	}{
		"none":               {nil, true},
		"WebSocket":          {[]string{"WebSocket"}, true},
		"h2c":                {[]string{"h2c"}, false},
		"both in one":        {[]string{"websocket, h2c"}, false},
		"both in two":        {[]string{"websocket", "h2c"}, false},
		"not even printable": {[]string{"\x80"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := &http.Request{Header: http.Header{"Http2-Settings": {"x"}}}
			if tc.upgrade != nil {
				in.Header["Upgrade"] = tc.upgrade
			}
			out := withoutTunnel(in)
			if _, has := out.Header["Upgrade"]; has != (tc.keep && tc.upgrade != nil) {
				t.Errorf("Upgrade kept: %v", has)
			}
			if (out == in) != tc.keep {
				t.Errorf("the same request: %v, want %v", out == in, tc.keep)
			}
			if len(in.Header["Upgrade"]) != len(tc.upgrade) {
				t.Error("the request given was changed")
			}
		})
	}
}

// Whatever a header is called, it is either passed on or ours alone, for every
// spelling that a CGI-like upstream takes for the same.
func FuzzKindOf(f *testing.F) {
	for _, n := range []string{"X-Consumer-Id", "x_forwarded.for", "Forwarded", "X-Original-URI", "Accept", "", "\x80-consumer-id"} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := kindOf(name)
		for _, other := range []string{strings.ToUpper(name), strings.ToLower(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "_", ".")} {
			if len(other) == len(name) && kindOf(other) != got {
				t.Errorf("%q is %v, %q is %v", name, got, other, kindOf(other))
			}
		}
		h := http.Header{name: {"evil"}, "Accept": {"text/html"}}
		stripReserved(h)
		if _, kept := h[name]; kept != (got == ordinary) || h["Accept"] == nil {
			t.Errorf("%q of kind %v: kept %v", name, got, kept)
		}
	})
}
