package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/carnetproject/carnet"
)

// canned is an upstream without a network.
type canned struct{}

func (canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"text/plain"}}, Body: http.NoBody,
	}, nil
}

// sink is a client that reads nothing.
type sink struct{ h http.Header }

func (s *sink) Header() http.Header       { return s.h }
func (*sink) Write(p []byte) (int, error) { return len(p), nil }
func (*sink) WriteHeader(int)             {}

// BenchmarkGateway is what the gateway adds to a bare ReverseProxy. "net" has a
// real client, a real upstream and both connections in it.
func BenchmarkGateway(b *testing.B) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	b.Cleanup(upstream.Close)
	base := must(url.Parse(upstream.URL))
	bare := &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(base); pr.SetXForwarded() }, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}

	cfg := oneRoute(upstream.URL, Plugins{JWT: &JWT{IssuerPrefixes: []string{"mobilev2"}}, ACL: &ACL{Allow: []string{"contentAccess"}}})
	g, err := New(b.Context(), Options{Config: cfg, Cache: carnet.NewCache(1 << 20)})
	if err != nil {
		b.Fatal(err)
	}
	token := "Bearer " + deviceToken(deviceIssuer, nil)
	for name, h := range map[string]http.Handler{"bare": bare, "gateway": g} {
		b.Run("net/"+name, func(b *testing.B) {
			server := httptest.NewServer(h)
			defer server.Close()
			b.ReportAllocs()
			for b.Loop() {
				r := must(http.NewRequestWithContext(b.Context(), "GET", server.URL+"/demo/x", nil))
				r.Header.Set("Authorization", token)
				res, err := server.Client().Do(r)
				if err != nil || res.StatusCode != http.StatusOK {
					b.Fatal(res, err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
		})
	}
	// The same without the network: what is left is the gateway itself.
	r := httptest.NewRequestWithContext(b.Context(), "GET", "/demo/x", nil)
	r.Header.Set("Authorization", token)
	b.Run("decide", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if d := g.decide(r, now); d.refusal != nil {
				b.Fatal(d.refusal.body)
			}
		}
	})
	bare.Transport = canned{}
	b.Run("canned/bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			bare.ServeHTTP(&sink{http.Header{}}, r)
		}
	})
}

// claimPlugins are of a route that asks for claims and tells some.
func claimPlugins() Plugins {
	return Plugins{JWT: &JWT{
		RequiredClaims: map[string][]string{"tenant": {"acme"}, "roles": {"admin", "staff"}},
		ClaimHeaders:   map[string]string{"sub": "X-User", "tenant": "X-Tenant", "roles": "X-Roles"},
	}}
}

func claimToken() string {
	return hs(appSecret, "app-key", object{"sub": "ann", "tenant": "acme", "roles": []string{"guest", "staff"}, "level": 7})
}

// BenchmarkClaims decides about a cached token whose claims are asked for and told.
func BenchmarkClaims(b *testing.B) {
	for name, p := range map[string]Plugins{"none": {JWT: &JWT{}}, "required and told": claimPlugins()} {
		b.Run(name, func(b *testing.B) {
			g := must(New(b.Context(), Options{Config: oneRoute("http://h", p), Cache: carnet.NewCache(1 << 20)}))
			r := httptest.NewRequestWithContext(b.Context(), "GET", "/demo/x", nil)
			r.Header.Set("Authorization", "Bearer "+claimToken())
			b.ReportAllocs()
			for b.Loop() {
				if d := g.decide(r, now); d.refusal != nil {
					b.Fatal(d.refusal.body)
				}
			}
		})
	}
}

// Deciding about a cached token costs a fixed handful of allocations: the decision, the
// principal; where claims are asked for and told, one for each header, for the list of
// them, and for reading in place.
func TestDecideAllocations(t *testing.T) { // AllocsPerRun wants to be alone
	devices := Plugins{JWT: &JWT{IssuerPrefixes: []string{"mobilev2"}}, ACL: &ACL{Allow: []string{"contentAccess"}}}
	for name, tc := range map[string]struct {
		plugins Plugins
		token   string
		most    float64
	}{
		"a device":        {devices, deviceToken(deviceIssuer, nil), 3},
		"with its claims": {claimPlugins(), claimToken(), 8},
	} {
		g := must(New(t.Context(), Options{Config: oneRoute("http://h", tc.plugins), Cache: carnet.NewCache(1 << 20)}))
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/demo/x", nil)
		r.Header.Set("Authorization", "Bearer "+tc.token)
		if d := g.decide(r, now); d.refusal != nil {
			t.Fatal(name, d.refusal.body)
		}
		if n := testing.AllocsPerRun(100, func() { g.decide(r, now) }); n > tc.most {
			t.Errorf("%s: %v allocations, want at most %v", name, n, tc.most)
		}
	}
}
