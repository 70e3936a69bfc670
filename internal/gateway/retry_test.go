package gateway

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// balanced is a configuration whose one service has several targets.
func balanced(urls ...string) Config {
	cfg := oneRoute("http://several/base", Plugins{})
	u := Upstream{Name: "several"}
	for _, s := range urls {
		u.Targets = append(u.Targets, Target{Target: must(url.Parse(s)).Host})
	}
	cfg.Upstreams = []Upstream{u}
	return cfg
}

// counted is an upstream that says its name and knows how often it was asked.
func counted(t testing.TB, name string) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", name, r.URL.Path, body)
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// refusing is an address where nobody listens.
func refusing(t testing.TB) string {
	t.Helper()
	l := must(new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"))
	_ = l.Close()
	return "http://" + l.Addr().String()
}

// rude closes each connection after it has read a request.
func rude(t testing.TB) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func send(t testing.TB, server *httptest.Server, method, body string) answer {
	t.Helper()
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	r := must(http.NewRequestWithContext(t.Context(), method, server.URL+"/demo", from))
	res, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(text)}
}

func TestTargetsShareRequests(t *testing.T) {
	t.Parallel()
	a, askedA := counted(t, "a")
	b, askedB := counted(t, "b")
	cfg := balanced(a, b)
	weight := 300
	cfg.Upstreams[0].Targets[1].Weight = &weight
	_, server := newGateway(t, Options{Config: cfg})
	for range 8 {
		if got := send(t, server, "GET", ""); got.status != 200 || !strings.HasSuffix(got.body, " /base/demo ") {
			t.Errorf("%d %q", got.status, got.body)
		}
	}
	if askedA.Load() != 2 || askedB.Load() != 6 {
		t.Errorf("a was asked %d times, b %d; want 2 and 6", askedA.Load(), askedB.Load())
	}
}

// A request is sent again where that is safe, and only there.
func TestRetries(t *testing.T) {
	t.Parallel()
	none, five := 0, 5
	for name, tc := range map[string]struct {
		method, body string
		dead         bool // nobody listens; else the connection is closed once the request was read
		retries      *int
		want         int
	}{
		"GET, no connection":              {"GET", "", true, &five, 200},
		"GET, default":                    {"GET", "", true, nil, 200},
		"POST, no connection":             {"POST", "hello", true, nil, 200},
		"POST without body, no listener":  {"POST", "", true, nil, 200},
		"PUT, no connection":              {"PUT", "hello", true, nil, 200},
		"GET, no retries":                 {"GET", "", true, &none, 502},
		"GET, closed":                     {"GET", "", false, nil, 200},
		"DELETE, closed":                  {"DELETE", "", false, nil, 200},
		"PUT without body, closed":        {"PUT", "", false, nil, 200},
		"PUT with body, closed":           {"PUT", "hello", false, nil, 502},
		"POST with body, closed":          {"POST", "hello", false, nil, 502},
		"POST without body, closed":       {"POST", "", false, nil, 502},
		"PATCH, closed":                   {"PATCH", "hello", false, nil, 502},
		"GET, closed, no retries allowed": {"GET", "", false, &none, 502},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad, askedBad := refusing(t), new(atomic.Int64)
			if !tc.dead {
				bad, askedBad = rude(t)
			}
			good, asked := counted(t, "good")
			cfg := balanced(good, bad) // the second is the first to be asked
			cfg.Services[0].Retries = tc.retries
			cfg.Upstreams[0].MaxFails = 100
			_, server := newGateway(t, Options{Config: cfg})
			got := send(t, server, tc.method, tc.body)
			if got.status != tc.want || tc.want == 200 && got.body != "good /base/demo "+tc.body {
				t.Errorf("%d %q, want %d", got.status, got.body, tc.want)
			}
			if n := asked.Load(); (n == 1) != (tc.want == 200) || n > 1 {
				t.Errorf("the good target was asked %d times", n)
			}
			if n := askedBad.Load(); n > 1 {
				t.Errorf("the bad target got the request %d times", n)
			}
		})
	}
}

func TestEachTargetIsTriedOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	cfg := balanced(refusing(t), refusing(t), refusing(t))
	g, server := newGateway(t, Options{Config: cfg, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if got := send(t, server, "POST", "x"); got.status != 502 {
		t.Errorf("%d %s", got.status, got.body)
	}
	server.Close()
	if n := strings.Count(log.String(), "another target is tried"); n != 2 {
		t.Errorf("%d further targets were tried, want 2:\n%s", n, log.String())
	}
	for _, m := range g.table.Load().upstreams["several"].members {
		if m.fails.Load() != 1 || m.open.Load() != 0 {
			t.Errorf("%s: %d failures, %d open", m.host, m.fails.Load(), m.open.Load())
		}
	}
}

// A target that fails is left out, and asked again when its rest is over.
func TestFailingTargetIsLeftOut(t *testing.T) {
	t.Parallel()
	bad, asked := rude(t)
	good, _ := counted(t, "good")
	cfg := balanced(good, bad)
	cfg.Upstreams[0].MaxFails, cfg.Upstreams[0].FailTimeout = 2, time.Minute
	var at atomic.Int64
	_, server := newGateway(t, Options{Config: cfg, Clock: func() time.Time { return now.Add(time.Duration(at.Load())) }})
	for range 20 {
		if got := send(t, server, "GET", ""); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the failing target was asked %d times, want 2", n)
	}
	at.Store(int64(time.Minute))
	for range 4 {
		send(t, server, "GET", "")
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("the failing target was asked %d times in all, want one more", n)
	}
}

// A client that hangs up, or whose body breaks off, says nothing of the target.
func TestClientsFaultIsNoFailure(t *testing.T) {
	t.Parallel()
	good, _ := counted(t, "good")
	g, server := newGateway(t, Options{Config: balanced(good)})
	a := raw(t, server.Listener.Addr().String(), []byte("POST /demo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"))
	if n := g.table.Load().upstreams["several"].members[0].fails.Load(); a.status != 400 || n != 0 {
		t.Errorf("%d, %d failures", a.status, n)
	}
}

// Targets come and go under traffic, and no request is lost. Run with -race.
func TestTargetsChangeUnderTraffic(t *testing.T) {
	t.Parallel()
	var urls []string
	for _, name := range []string{"a", "b", "c"} {
		u, _ := counted(t, name)
		urls = append(urls, u)
	}
	sets := []Config{balanced(urls[0]), balanced(urls[1:]...), balanced(urls...), oneRoute(urls[0], Plugins{})}
	sets[2].Upstreams[0].Algorithm = leastConnections
	sets[3].Services[0].ReadTimeout = 50 * time.Second // another transport, too
	g, server := newGateway(t, Options{Config: sets[0]})
	var stop atomic.Bool
	var sent atomic.Int64
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for !stop.Load() {
				method, body := "GET", ""
				if i%2 == 1 {
					method, body = "POST", "hello"
				}
				if got := send(t, server, method, body); got.status != 200 || !strings.HasSuffix(got.body, body) {
					t.Errorf("%d %s", got.status, got.body)
					return
				}
				sent.Add(1)
			}
		})
	}
	for i := 0; sent.Load() < 400 && !t.Failed(); i++ {
		if err := g.Reload(t.Context(), sets[i%len(sets)]); err != nil {
			t.Fatal(err)
		}
		for before := sent.Load(); sent.Load() < before+5 && !t.Failed(); {
			send(t, server, "GET", "")
			sent.Add(1)
		}
	}
	stop.Store(true)
	wg.Wait()
}

func TestTLSVerify(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	upstream.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	upstream.StartTLS()
	t.Cleanup(upstream.Close)
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: upstream.Certificate().Raw}))
	no := false
	for name, tc := range map[string]struct {
		edit func(*Service)
		want int
	}{
		"nobody vouches":      {func(*Service) {}, 502},
		"its own authority":   {func(s *Service) { s.CACertificates = authority }, 200},
		"not looked at":       {func(s *Service) { s.TLSVerify = &no }, 200},
		"not looked at, both": {func(s *Service) { s.TLSVerify, s.CACertificates = &no, authority }, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := oneRoute(upstream.URL, Plugins{})
			tc.edit(&cfg.Services[0])
			g, server := newGateway(t, Options{Config: cfg})
			if got := send(t, server, "GET", ""); got.status != tc.want {
				t.Errorf("%d %s, want %d", got.status, got.body, tc.want)
			}
			if v := g.table.Load().services["echo"].transport.TLSClientConfig.MinVersion; v < tls.VersionTLS12 {
				t.Errorf("TLS version %x", v)
			}
		})
	}
}

// An upstream that takes nothing ends the request after write_timeout.
func TestWriteTimeout(t *testing.T) {
	t.Parallel()
	l := must(new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"))
	t.Cleanup(func() { _ = l.Close() })
	kept := make(chan net.Conn, 8) // and nobody reads them
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			kept <- c
		}
	}()
	cfg := oneRoute("http://"+l.Addr().String(), Plugins{})
	cfg.Services[0].WriteTimeout = 200 * time.Millisecond
	done := make(chan Outcome, 1)
	_, server := newGateway(t, Options{Config: cfg, Observe: func(o Outcome) { done <- o }})
	r := must(http.NewRequestWithContext(t.Context(), "POST", server.URL+"/demo", io.LimitReader(zeros{}, 64<<20)))
	if res, err := server.Client().Do(r); err == nil { // else the connection was closed on the rest of the body
		_ = res.Body.Close()
	}
	if o := <-done; o.Status != 504 {
		t.Errorf("outcome %+v, want 504", o)
	}
	_ = (<-kept).Close()
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestValidateUpstreams(t *testing.T) {
	t.Parallel()
	nought, less, more := 0, -1, 1<<20
	for name, tc := range map[string]struct {
		edit func(*Config)
		want string
	}{
		"name":           {func(c *Config) { c.Upstreams[0].Name = "a b" }, `upstreams[0].name`},
		"name twice":     {func(c *Config) { c.Upstreams = append(c.Upstreams, c.Upstreams[0]) }, `upstreams[1].name`},
		"name with port": {func(c *Config) { c.Upstreams[0].Name = "several:80" }, `must be a host name`},
		"algorithm":      {func(c *Config) { c.Upstreams[0].Algorithm = "consistent-hashing" }, `expected one of: round-robin, least-connections`},
		"target":         {func(c *Config) { c.Upstreams[0].Targets[0].Target = "http://x" }, `must be host:port`},
		"twice":          {func(c *Config) { c.Upstreams[0].Targets[1] = c.Upstreams[0].Targets[0] }, `is already the value of upstreams[0].targets[0].target`},
		"weight":         {func(c *Config) { c.Upstreams[0].Targets[0].Weight = &more }, `value should be between 0 and 65535`},
		"negative":       {func(c *Config) { c.Upstreams[0].Targets[0].Weight = &less }, `value should be between 0 and 65535`},
		"nobody": {func(c *Config) {
			c.Upstreams[0].Targets = c.Upstreams[0].Targets[:1]
			c.Upstreams[0].Targets[0].Weight = &nought
		}, `name at least one target`},
		"fails":     {func(c *Config) { c.Upstreams[0].MaxFails = -1 }, `upstreams[0].max_fails`},
		"rest":      {func(c *Config) { c.Upstreams[0].FailTimeout = -1 }, `upstreams[0].fail_timeout`},
		"retries":   {func(c *Config) { c.Services[0].Retries = &less }, `services[0].retries`},
		"authority": {func(c *Config) { c.Services[0].CACertificates = "x" }, `write certificates in PEM`},
		"write":     {func(c *Config) { c.Services[0].WriteTimeout = -1 }, `services[0].write_timeout`},
		"nothing":   {func(*Config) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := balanced("http://a:1", "http://b:2")
			cfg.Upstreams[0].Targets = slices.Clone(cfg.Upstreams[0].Targets)
			tc.edit(&cfg)
			err := cfg.Validate()
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("Validate() = %v, want %q", err, tc.want)
			}
		})
	}
}
