package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

var loopback = Guard{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

func TestGuard(t *testing.T) {
	t.Parallel()
	private := Guard{Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}}
	for i, tc := range []struct {
		guard    Guard
		host, to string
		ok       bool
	}{
		{Guard{}, "a.example.com", "93.184.216.34:443", true},
		{Guard{}, "a.example.com", "[2606:2800:220:1::1]:443", true},
		{Guard{}, "a.example.com", "127.0.0.1:80", false},
		{Guard{}, "a.example.com", "[::1]:80", false},
		{Guard{}, "a.example.com", "[::ffff:127.0.0.1]:80", false},
		{Guard{}, "a.example.com", "10.1.2.3:80", false},
		{private, "a.example.com", "10.1.2.3:80", true},
		{private, "a.example.com", "[::ffff:10.1.2.3]:80", true},
		{private, "a.example.com", "10.2.2.3:80", false},
		{private, "a.example.com", "[fd12::1]:80", true},
		{private, "a.example.com", "169.254.169.254:80", false},
		{Guard{}, "a.example.com", "172.16.0.1:80", false},
		{Guard{}, "a.example.com", "192.168.0.1:80", false},
		{Guard{}, "a.example.com", "[fe80::1%eth0]:80", false},
		{Guard{}, "a.example.com", "100.64.0.1:80", false},
		{Guard{}, "a.example.com", "0.0.0.0:80", false},
		{Guard{}, "a.example.com", "[::]:80", false},
		{Guard{}, "a.example.com", "[::7f00:1]:80", false},
		{Guard{}, "a.example.com", "[64:ff9b::7f00:1]:80", false},
		{Guard{}, "a.example.com", "[2002:7f00:1::1]:80", false},
		{Guard{}, "a.example.com", "198.18.0.1:80", false},
		{Guard{}, "a.example.com", "203.0.113.1:80", false},
		{Guard{}, "a.example.com", "[2001:db8::1]:80", false},
		{Guard{}, "a.example.com", "224.0.0.1:80", false},
		{Guard{}, "a.example.com", "255.255.255.255:80", false},
		{Guard{}, "127.0.0.1", "127.0.0.1:80", false},
		{Guard{Networks: Named("127.0.0.1")}, "127.0.0.1", "127.0.0.1:80", true},
		{Guard{Networks: Named("127.0.0.1")}, "127.0.0.1", "127.0.0.2:80", false},
		{Guard{Networks: Named("::1")}, "::1", "[::1]:80", true},
		{Guard{Networks: Named("Localhost")}, "Localhost", "127.0.0.1:80", true},
		{Guard{Networks: Named("localhost")}, "localhost", "10.0.0.1:80", false},
		{Guard{Networks: Named("a.example.com")}, "a.example.com", "10.0.0.1:80", false},
		{Guard{Hosts: []string{"auth.corp"}}, "Auth.Corp", "10.0.0.1:80", true},
		{Guard{Hosts: []string{"auth.corp"}}, "other.corp", "10.0.0.1:80", false},
		{Guard{Ports: []uint16{443}}, "a.example.com", "93.184.216.34:443", true},
		{Guard{Ports: []uint16{443}}, "a.example.com", "93.184.216.34:8443", false},
		{Guard{Ports: []uint16{443}, Hosts: []string{"auth.corp"}}, "auth.corp", "10.0.0.1:22", false},
	} {
		err := tc.guard.Check(tc.host, netip.MustParseAddrPort(tc.to))
		if (err == nil) != tc.ok {
			t.Errorf("%d: %s at %s: %v, want allowed: %t", i, tc.host, tc.to, err, tc.ok)
		}
		if refused, is := errors.AsType[*RefusedError](err); err != nil && (!is || strings.Contains(err.Error(), tc.host) && refused.To.Addr().String() != tc.host) {
			t.Errorf("%d: error %v shows the host, or is none of a guard", i, err)
		}
	}
	if err := control(loopback, "x")("tcp", "nonsense", nil); err == nil {
		t.Error("a dial to no address was let pass")
	}
}

// get calls the URL and gives the answer's body.
func get(t *testing.T, c *http.Client, u string) (status int, body string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer Done(resp.Body, 1<<10)
	data, err := io.ReadAll(Limit(resp.Body, 64))
	return resp.StatusCode, string(data), err
}

func TestClientIsGuarded(t *testing.T) {
	t.Parallel()
	called := make(chan string, 8)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { called <- r.URL.Path }))
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		_, _, err := get(t, New(Config{Host: host, Connect: time.Second}), "http://"+host+":"+port+"/")
		if _, ok := errors.AsType[*RefusedError](err); !ok {
			t.Errorf("%s: error %v, want a refusal", host, err)
		}
	}
	if len(called) > 0 {
		t.Error("a server was called that may not be")
	}
	if status, _, err := get(t, New(Config{Host: "127.0.0.1", Connect: time.Second, Guard: loopback}), s.URL); err != nil || status != 200 {
		t.Errorf("allowed: %d, %v", status, err)
	}
	now := &moving{}
	c := New(Config{Host: "127.0.0.1", Connect: time.Second, Guard: now})
	if _, _, err := get(t, c, s.URL); err == nil {
		t.Error("called before it was allowed")
	}
	now.Guard = loopback
	if status, _, err := get(t, c, s.URL); err != nil || status != 200 {
		t.Errorf("allowed meanwhile: %d, %v", status, err)
	}
}

// moving is a guard that is another one now and then.
type moving struct{ Guard }

func TestClientFollowsNothing(t *testing.T) {
	t.Parallel()
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+r.Header.Get("Cookie")+r.Header.Get("Accept-Encoding"))
		w.Header().Set("Set-Cookie", "a=b")
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	t.Cleanup(s.Close)
	c := New(Config{Host: "127.0.0.1", Connect: time.Second, Guard: loopback})
	for range 2 {
		if status, _, err := get(t, c, s.URL+"/here"); err != nil || status != http.StatusFound {
			t.Errorf("%d, %v, want the redirect itself", status, err)
		}
	}
	if strings.Join(asked, " ") != "/here /here" {
		t.Errorf("asked for %q", asked)
	}
	if tr, ok := c.Transport.(*http.Transport); !ok || tr.Proxy != nil || c.Jar != nil {
		t.Error("a proxy is asked, or cookies are kept")
	}
}

func TestClientBounds(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/header":
			w.Header().Set("X-Big", strings.Repeat("x", 64<<10))
		case "/exact":
			_, _ = io.WriteString(w, strings.Repeat("x", 64))
		default:
			_, _ = io.WriteString(w, strings.Repeat("x", 65))
		}
	}))
	t.Cleanup(s.Close)
	c := New(Config{Host: "127.0.0.1", Connect: time.Second, Guard: loopback})
	if _, _, err := get(t, c, s.URL+"/header"); err == nil {
		t.Error("a header of 64 KiB was read")
	}
	if _, body, err := get(t, c, s.URL+"/exact"); err != nil || len(body) != 64 {
		t.Errorf("as much as may be: %d bytes, %v", len(body), err)
	}
	if _, body, err := get(t, c, s.URL+"/more"); !errors.Is(err, ErrTooLarge) || len(body) != 64 {
		t.Errorf("one byte more: %d bytes, %v", len(body), err)
	}
}

func TestClientTLS(t *testing.T) {
	t.Parallel()
	shown := make(chan int, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { shown <- len(r.TLS.PeerCertificates) }))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c := New(Config{Host: "127.0.0.1", Connect: time.Second, Guard: loopback, Roots: roots, Certificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &s.TLS.Certificates[0], nil
	}})
	if _, _, err := get(t, c, s.URL); err != nil || <-shown != 1 {
		t.Errorf("with certificates: %v", err)
	}
	if _, _, err := get(t, New(Config{Host: "127.0.0.1", Connect: time.Second, Guard: loopback}), s.URL); err == nil {
		t.Error("a certificate of nobody's was accepted")
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11} //nolint:gosec // what is refused
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	if _, _, err := get(t, New(Config{Host: "127.0.0.1", Connect: time.Second, Guard: loopback, Roots: roots}), s.URL); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
}

func TestWithoutURL(t *testing.T) {
	t.Parallel()
	if err := WithoutURL(&url.Error{Op: "Get", URL: "https://x/?token=hunter2", Err: io.EOF}); !errors.Is(err, io.EOF) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("WithoutURL() = %v", err)
	}
	if err := WithoutURL(io.EOF); !errors.Is(err, io.EOF) {
		t.Errorf("WithoutURL() = %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "12": 12 * time.Second, "3600": time.Hour, "-1": 0, "1.5": 0, "soon": 0, "1099511627776": 0,
		"Mon, 01 Jun 2026 12:00:30 GMT": 30 * time.Second, "Mon, 01 Jun 2020 12:00:30 GMT": 0,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("RetryAfter(%q) = %v, want %v", text, got, want)
		}
	}
}
