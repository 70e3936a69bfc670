package gateway

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/httpx"
)

// identityNames are the headers that only the gateway may say.
var identityNames = []string{
	"X-Consumer-ID", "X-Consumer-Custom-ID", "X-Consumer-Username", "X-Consumer-Groups",
	"X-Credential-Identifier", "X-Anonymous-Consumer",
}

// here is where the tests' clients are.
var here = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// folded is h with names as a CGI-like upstream reads them.
func folded(h http.Header) map[string][]string {
	out := map[string][]string{}
	for n, v := range h {
		n = strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(n))
		out[n] = append(out[n], v...)
	}
	return out
}

// An upstream, of either kind, hears from the gateway alone who asks.
func TestIdentityHeadersCannotBeForged(t *testing.T) {
	t.Parallel()
	internal := map[string]http.Handler{"echo": http.HandlerFunc(echo)}
	spellings := map[string]func(string) string{
		"canonical":   func(n string) string { return n },
		"lower case":  strings.ToLower,
		"upper case":  strings.ToUpper,
		"underscores": func(n string) string { return strings.ReplaceAll(n, "-", "_") },
		"dots":        func(n string) string { return strings.ReplaceAll(n, "-", ".") },
		"mixed":       func(n string) string { return strings.Replace(n, "-", "_", 1) },
	}
	for where, url := range map[string]string{"proxied": newEcho(t).URL, "internal": "internal://echo"} {
		cfg := oneRoute(url, Plugins{JWT: &JWT{}, ACL: &ACL{Deny: []string{"nobody"}}})
		cfg.Services[0].Routes = append(cfg.Services[0].Routes, Route{Name: "open", Paths: []string{"/open"}})
		_, server := newGateway(t, Options{Config: cfg, Internal: internal})
		for spelling, spell := range spellings {
			t.Run(where+"/"+spelling, func(t *testing.T) {
				t.Parallel()
				var lines []string
				for _, n := range identityNames {
					lines = append(lines, spell(n)+": evil", spell(n)+": evil too", "Connection: "+spell(n), "Trailer: "+spell(n))
				}
				got := folded(call(t, server, "GET", "/open", lines...).seen(t).Header)
				for _, n := range identityNames {
					if v := got[strings.ToLower(n)]; v != nil {
						t.Errorf("without a token the upstream got %s %q", n, v)
					}
				}
				lines = append(lines, "Authorization: Bearer "+hs(appSecret, "app-key"))
				got = folded(call(t, server, "GET", "/demo", lines...).seen(t).Header)
				for n, want := range map[string]string{
					"x-consumer-username": "app", "x-consumer-custom-id": "app-1", "x-consumer-groups": "mobileAdmin, staff",
					"x-credential-identifier": "app-key",
				} {
					if d := cmp.Diff([]string{want}, got[n]); d != "" {
						t.Errorf("%s (-want +got):\n%s", n, d)
					}
				}
				if len(got["x-consumer-id"]) != 1 || got["x-consumer-id"][0] == "evil" || got["x-anonymous-consumer"] != nil {
					t.Errorf("X-Consumer-ID %q, X-Anonymous-Consumer %q", got["x-consumer-id"], got["x-anonymous-consumer"])
				}
			})
		}
	}
}

func TestTrailersCannotForge(t *testing.T) {
	t.Parallel()
	for where, url := range map[string]string{"proxied": newEcho(t).URL, "internal": "internal://echo"} {
		cfg := oneRoute(url, Plugins{})
		_, server := newGateway(t, Options{Config: cfg, Internal: map[string]http.Handler{"echo": http.HandlerFunc(echo)}})
		for name, announced := range map[string]string{"announced": "Trailer: X-Consumer-ID\r\n", "unannounced": ""} {
			t.Run(where+"/"+name, func(t *testing.T) {
				t.Parallel()
				a := raw(t, server.Listener.Addr().String(), []byte("POST /demo HTTP/1.1\r\nHost: h\r\n"+announced+
					"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Consumer-ID: evil\r\nX_consumer_username: evil\r\n\r\n"))
				up := a.seen(t)
				if up.Body != "hello" || len(up.Trailer) != 0 || strings.Contains(a.body, "evil") {
					t.Errorf("the upstream got %s", a.body)
				}
			})
		}
	}
}

func TestForwardedHeaders(t *testing.T) {
	t.Parallel()
	lines := []string{
		"X-Forwarded-For: 1.1.1.1", "X_Forwarded_For: 1.1.1.1", "Forwarded: for=1.1.1.1", "X-Real-IP: 1.1.1.1",
		"X-Forwarded-Host: evil", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /evil", "Connection: X-Forwarded-For, X-Real-IP",
		"X-Forwarded-Uri: /evil", "X-Forwarded-Method: PUT", "X_Original_URI: /evil", "X-Original-Host: evil",
	}
	for name, tc := range map[string]struct {
		trusted []netip.Prefix
		want    map[string][]string
	}{
		"strangers": {nil, map[string][]string{"x-forwarded-for": {"127.0.0.1"}, "x-real-ip": {"127.0.0.1"}, "x-forwarded-proto": {"http"}}},
		"our proxy": {here, map[string][]string{
			"x-forwarded-for": {"1.1.1.1, 127.0.0.1"}, "x-real-ip": {"1.1.1.1"}, "x-forwarded-proto": {"https"},
			"x-forwarded-host": {"evil"}, "x-forwarded-prefix": {"/evil"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, server := newGateway(t, Options{
				Config: oneRoute(newEcho(t).URL, Plugins{}), Trusts: httpx.Trusts(tc.trusted), ClientAddr: httpx.ClientAddr(tc.trusted),
			})
			got := folded(call(t, server, "GET", "/demo", lines...).seen(t).Header)
			for _, n := range []string{"forwarded", "x-forwarded-uri", "x-forwarded-method", "x-original-uri", "x-original-host"} {
				if got[n] != nil {
					t.Errorf("%s %q", n, got[n])
				}
			}
			if tc.trusted == nil {
				tc.want["x-forwarded-host"] = []string{server.Listener.Addr().String()}
				tc.want["x-forwarded-prefix"] = nil
			}
			for n, want := range tc.want {
				if d := cmp.Diff(want, got[n]); d != "" {
					t.Errorf("%s (-want +got):\n%s", n, d)
				}
			}
		})
	}
}

func TestWhatTheUpstreamGets(t *testing.T) {
	t.Parallel()
	upstream := newEcho(t)
	for name, tc := range map[string]struct {
		url, target string
		strip, host bool
		wantURI     string
	}{
		"as it is":                  {upstream.URL, "/demo/x?a=b;c&jwt=t", false, false, "/demo/x?a=b;c&jwt=t"},
		"normal":                    {upstream.URL, "/demo/%7ex/../y%2c", false, false, "/demo/y,"},
		"stripped":                  {upstream.URL, "/demo/x", true, false, "/x"},
		"stripped to nothing":       {upstream.URL, "/demo", true, false, "/"},
		"stripped, with a base":     {upstream.URL + "/base/", "/demo/x", true, false, "/base/x"},
		"escapes":                   {upstream.URL, "/demo/%e2%82%ac%3b%3F", false, false, "/demo/%E2%82%AC%3B%3F"},
		"question mark and no more": {upstream.URL, "/demo?", false, false, "/demo?"},
		"query that is no query":    {upstream.URL, "/demo?%zz&&=&a", false, false, "/demo?%zz&&=&a"},
		"internal":                  {"internal://echo", "/demo/x?q=%20", true, false, "/x?q=%20"},
		"its own host":              {upstream.URL, "/demo", false, true, "/demo"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := oneRoute(tc.url, Plugins{})
			cfg.Services[0].Routes[0].StripPath, cfg.Services[0].Routes[0].PreserveHost = &tc.strip, tc.host
			_, server := newGateway(t, Options{Config: cfg, Internal: map[string]http.Handler{"echo": http.HandlerFunc(echo)}})
			up := call(t, server, "GET", tc.target, "Host: client.example:1").seen(t)
			if up.URI != tc.wantURI {
				t.Errorf("URI %q, want %q", up.URI, tc.wantURI)
			}
			wantHost := upstream.Listener.Addr().String()
			if tc.host || strings.HasPrefix(tc.url, "internal") {
				wantHost = "client.example:1"
			}
			if up.Host != wantHost {
				t.Errorf("Host %q, want %q", up.Host, wantHost)
			}
		})
	}
}

func TestUpstreamFailures(t *testing.T) {
	t.Parallel()
	const invalid, timeout = "An invalid response was received from the upstream server", "The upstream server is timing out"
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(func() { close(release); silent.Close() })
	for name, tc := range map[string]struct {
		url     string
		status  int
		message string
	}{
		"nobody there":        {gone.URL, 502, invalid},
		"hangs up":            {rawUpstream(t, ""), 502, invalid},
		"talks nonsense":      {rawUpstream(t, "hello\r\n\r\n"), 502, invalid},
		"a status of none":    {rawUpstream(t, "HTTP/1.1 042 ?\r\nContent-Length: 0\r\n\r\n"), 502, invalid},
		"switches unasked":    {rawUpstream(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), 502, invalid},
		"switches to nothing": {rawUpstream(t, "HTTP/1.1 101 Switching Protocols\r\n\r\n"), 502, invalid},
		"header without end":  {rawUpstream(t, "HTTP/1.1 200 OK\r\nA: "+strings.Repeat("a", 300<<10)), 502, invalid},
		"says nothing":        {silent.URL, 504, timeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := oneRoute(tc.url, Plugins{})
			if tc.status == http.StatusGatewayTimeout {
				cfg.Services[0].ReadTimeout = 200 * time.Millisecond
			}
			_, server := newGateway(t, Options{Config: cfg})
			a := call(t, server, "GET", "/demo")
			if a.status != tc.status || a.message(t) != tc.message {
				t.Errorf("%d %s, want %d %q", a.status, a.body, tc.status, tc.message)
			}
		})
	}
}

// rawUpstream answers every connection's first request with the same bytes.
func rawUpstream(t *testing.T, reply string) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.WriteString(c, reply)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// A body that breaks off is the client's fault, whatever the upstream makes of it.
func TestBrokenBodyIsNoUpstreamFailure(t *testing.T) {
	t.Parallel()
	_, server := newGateway(t, Options{Config: oneRoute(newEcho(t).URL, Plugins{})})
	a := raw(t, server.Listener.Addr().String(), []byte("POST /demo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"))
	if a.status != 400 {
		t.Errorf("%d %s, want 400", a.status, a.body)
	}
}

// net/http does not tell whether there was a Content-Length as well.
func TestConnectionClosesAfterChunks(t *testing.T) {
	t.Parallel()
	_, server := newGateway(t, Options{Config: oneRoute(newEcho(t).URL, Plugins{})})
	const chunk = "\r\n\r\n1\r\nx\r\n0\r\n\r\n"
	for name, tc := range map[string]struct {
		head  string
		close bool
	}{
		"both":    {"Content-Length: 6\r\nTransfer-Encoding: chunked" + chunk, true},
		"chunked": {"Transfer-Encoding: chunked" + chunk, true},
		"length":  {"Content-Length: 1\r\n\r\nx", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := raw(t, server.Listener.Addr().String(), []byte("POST /demo HTTP/1.1\r\nHost: h\r\n"+tc.head+"GET /open HTTP/1.1\r\nHost: h\r\n\r\n"))
			if up := a.seen(t); up.Body != "x" {
				t.Errorf("the upstream got %+v", up)
			}
		})
	}
	for head, want := range map[string]bool{"Content-Length: 1\r\nTransfer-Encoding: chunked" + chunk: true, "Content-Length: 1\r\n\r\nx": false} {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "POST /demo HTTP/1.1\r\nHost: h\r\n"+head)
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.Close != want {
			t.Errorf("%q: closes %v, want %v", head, res.Close, want)
		}
		_ = res.Body.Close()
		_ = c.Close()
	}
}

func TestWebSocketPassesThrough(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" {
			echo(w, r)
			return
		}
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Who: %s\r\n\r\n", r.Header.Get("X-Consumer-Username"))
		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		_, _ = rw.WriteString("echo " + line)
		_ = rw.Flush()
	}))
	t.Cleanup(upstream.Close)
	done := make(chan Outcome, 1)
	_, server := newGateway(t, Options{Config: oneRoute(upstream.URL, Plugins{JWT: &JWT{}}), Observe: func(o Outcome) { done <- o }})
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(c, "GET /demo?jwt="+hs(appSecret, "app-key")+" HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, X-Consumer-Username\r\nUpgrade: websocket\r\n\r\n")
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 101 || res.Header.Get("X-Who") != "app" {
		t.Fatalf("%d, consumer %q", res.StatusCode, res.Header.Get("X-Who"))
	}
	_, _ = io.WriteString(c, "hello\n")
	if line, err := r.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("%q, %v", line, err)
	}
	_ = c.Close() // each side closes its own half
	if o := <-done; o.Status != 101 {
		t.Errorf("outcome %+v", o)
	}
}

func TestOtherUpgradesAreNoTunnel(t *testing.T) {
	t.Parallel()
	_, server := newGateway(t, Options{Config: oneRoute(newEcho(t).URL, Plugins{})})
	for _, up := range []string{"h2c", "websocket, h2c", "TLS/1.0", "\x80"} {
		got := call(t, server, "GET", "/demo", "Connection: Upgrade, HTTP2-Settings", "Upgrade: "+up, "HTTP2-Settings: AAMAAABk").seen(t).Header
		for _, name := range []string{"Upgrade", "Http2-Settings"} {
			if v, has := got[name]; has {
				t.Errorf("Upgrade: %q reached the upstream as %s %q", up, name, v)
			}
		}
	}
}

// What the upstream says reaches the client before the upstream has ended.
func TestAnswersStream(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-End")
		for i := range 2 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
		w.Header().Set("X-End", "yes")
	}))
	t.Cleanup(upstream.Close)
	_, server := newGateway(t, Options{Config: oneRoute(upstream.URL, Plugins{}), Observe: func(Outcome) {}})
	res, err := server.Client().Get(server.URL + "/demo")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	r := bufio.NewReader(res.Body)
	for i := range 2 {
		line, err := r.ReadString('\n')
		if want := fmt.Sprintf("data: %d\n", i); line != want {
			t.Fatalf("%q, %v; want %q", line, err, want)
		}
		_, _ = r.ReadString('\n')
		next <- struct{}{}
	}
	if _, err := io.Copy(io.Discard, r); err != nil || res.Trailer.Get("X-End") != "yes" {
		t.Errorf("trailer %q, %v", res.Trailer, err)
	}
}

// A client that hangs up is nobody's failure.
func TestClientHangsUp(t *testing.T) {
	t.Parallel()
	arrived, outcome := make(chan struct{}), make(chan Outcome, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	t.Cleanup(upstream.Close)
	var log bytes.Buffer
	_, server := newGateway(t, Options{
		Config: oneRoute(upstream.URL, Plugins{}), Observe: func(o Outcome) { outcome <- o },
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET /demo HTTP/1.1\r\nHost: h\r\n\r\n")
	<-arrived
	_ = c.Close()
	if o := <-outcome; o.Status != statusClientGone || log.Len() != 0 {
		t.Errorf("outcome %+v, log %s", o, log.String())
	}
}

func TestHTTP2(t *testing.T) {
	t.Parallel()
	g, _ := newGateway(t, Options{Config: oneRoute(newEcho(t).URL, Plugins{JWT: &JWT{}})})
	server := httptest.NewUnstartedServer(g)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	body, send := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/demo/x?jwt="+hs(appSecret, "app-key"), body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header["x_consumer_id"] = []string{"evil"}
	r.Trailer = http.Header{"X-Consumer-Username": {"evil"}}
	go func() {
		_, _ = io.WriteString(send, "hello")
		_ = send.Close()
	}()
	res, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.ProtoMajor != 2 {
		t.Fatalf("%s, %v", res.Proto, err)
	}
	up := answer{res.StatusCode, res.Header, string(text)}.seen(t)
	if up.Body != "hello" || up.Header.Get("X-Forwarded-Proto") != "https" || up.Header.Get("X-Consumer-Username") != "app" || strings.Contains(string(text), "evil") {
		t.Errorf("the upstream got %s", text)
	}
}
