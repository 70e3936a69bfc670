package gateway

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/limit"
)

// dial is a clock that a test turns.
type dial struct{ nanos atomic.Int64 }

func newDial() *dial {
	d := &dial{}
	d.nanos.Store(now.UnixNano()) // 22:13:20 UTC
	return d
}

func (d *dial) now() time.Time           { return time.Unix(0, d.nanos.Load()) }
func (d *dial) turn(after time.Duration) { d.nanos.Add(int64(after)) }

// limited starts a gateway with one open route that one plugin limits.
func limited(t testing.TB, p *RateLimiting) (*httptest.Server, *dial) {
	t.Helper()
	d := newDial()
	_, server := newGateway(t, Options{Config: oneRoute(newEcho(t).URL, Plugins{RateLimiting: p}), Clock: d.now})
	return server, d
}

// statuses sends n requests and returns how they were answered.
func statuses(t testing.TB, server *httptest.Server, n int, target string, lines ...string) []int {
	t.Helper()
	var got []int
	for range n {
		got = append(got, call(t, server, "GET", target, lines...).status)
	}
	return got
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	server, clock := limited(t, &RateLimiting{Minute: new(2), Hour: new(3)})
	type seen struct {
		Status                                int
		Minute, Hour, Limit, Remaining, Reset string
		Retry                                 string
	}
	var got []seen
	for _, wait := range []time.Duration{0, 0, 0, 40 * time.Second, 0, time.Hour} {
		clock.turn(wait)
		a := call(t, server, "GET", "/demo")
		got = append(got, seen{
			a.status, a.header.Get("X-RateLimit-Remaining-Minute"), a.header.Get("X-RateLimit-Remaining-Hour"),
			a.header.Get("RateLimit-Limit"), a.header.Get("RateLimit-Remaining"), a.header.Get("RateLimit-Reset"), a.header.Get("Retry-After"),
		})
	}
	want := []seen{ // from 22:13:20 on
		{200, "1", "2", "2", "1", "40", ""},
		{200, "0", "1", "2", "0", "40", ""},
		{429, "0", "1", "2", "0", "40", "40"},
		{200, "1", "0", "3", "0", "2760", ""}, // 22:14:00: the hour is the tighter one
		{429, "1", "0", "3", "0", "2760", "2760"},
		{200, "1", "2", "2", "1", "60", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestRateLimitTie has two periods with the same number remaining: the longer one
// tells when to come back.
func TestRateLimitTie(t *testing.T) {
	t.Parallel()
	server, _ := limited(t, &RateLimiting{Minute: new(1), Hour: new(1)})
	for _, status := range []int{200, 429} {
		a := call(t, server, "GET", "/demo")
		if got := a.header.Get("RateLimit-Reset"); a.status != status || got != "2800" {
			t.Errorf("status %d, reset %s; want %d, 2800: that of the hour", a.status, got, status)
		}
	}
}

func TestRateLimitSliding(t *testing.T) {
	t.Parallel()
	server, clock := limited(t, &RateLimiting{Minute: new(4), Window: "sliding"})
	clock.turn(30 * time.Second) // 22:13:50
	for i, status := range []int{200, 200, 200, 200, 429} {
		a := call(t, server, "GET", "/demo")
		if a.status != status {
			t.Errorf("request %d: %d", i, a.status)
		}
		if i == 4 && a.header.Get("Retry-After") != "25" { // a quarter of the next window on
			t.Errorf("Retry-After = %s, want 25", a.header.Get("Retry-After"))
		}
	}
	clock.turn(24 * time.Second)
	if a := call(t, server, "GET", "/demo"); a.status != 429 || a.header.Get("Retry-After") != "1" {
		t.Errorf("a second before: %d, Retry-After %s", a.status, a.header.Get("Retry-After"))
	}
	clock.turn(time.Second)
	if got := statuses(t, server, 2, "/demo"); !cmp.Equal(got, []int{200, 429}) {
		t.Errorf("as Retry-After said: %v", got)
	}
}

var document429 = regexp.MustCompile(`^\{\n  "message":"([^"]+)",\n  "request_id":"[0-9a-f]{32}"\n\}$`)

func TestRateLimitRefusal(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		plugin  RateLimiting
		status  int
		message string
	}{
		"as Kong": {RateLimiting{Day: new(1)}, 429, "API rate limit exceeded"},
		"own":     {RateLimiting{Day: new(1), ErrorCode: 403, ErrorMessage: "Come back tomorrow"}, 403, "Come back tomorrow"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := limited(t, &tc.plugin)
			call(t, server, "GET", "/demo")
			a := call(t, server, "GET", "/demo")
			m := document429.FindStringSubmatch(a.body)
			if a.status != tc.status || m == nil || m[1] != tc.message {
				t.Errorf("%d %s", a.status, a.body)
			}
			if got := a.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
				t.Errorf("Content-Type %q", got)
			}
		})
	}
}

// TestRateLimitAsKong014 has a route for clients that know Kong 0.14.
func TestRateLimitAsKong014(t *testing.T) {
	t.Parallel()
	_, server := newGateway(t, Options{Config: oneRoute(newEcho(t).URL, Plugins{JWT: &JWT{StatusProfile: "sunbird"}, RateLimiting: &RateLimiting{Hour: new(1)}})})
	token := "Authorization: Bearer " + hs(appSecret, "app-key")
	call(t, server, "GET", "/demo", token)
	a := call(t, server, "GET", "/demo", token)
	if a.status != 429 || a.body != `{"message":"API rate limit exceeded"}` {
		t.Errorf("%d %s", a.status, a.body)
	}
	for name, want := range map[string]string{"X-RateLimit-Limit-Hour": "1", "X-RateLimit-Remaining-Hour": "0", "RateLimit-Limit": "", "RateLimit-Reset": "", "Retry-After": ""} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestRateLimitExact lets 64 clients ask at once.
func TestRateLimitExact(t *testing.T) {
	t.Parallel()
	const quota, clients = 100, 64
	server, _ := limited(t, &RateLimiting{Hour: new(quota)})
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range 4 {
				if call(t, server, "GET", "/demo").status == 200 {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := passed.Load(); got != quota {
		t.Errorf("%d of %d passed, want %d", got, 4*clients, quota)
	}
}

// TestRateLimitScopes has one plugin at each place: what it is attached to counts
// together, and the closest one counts alone.
func TestRateLimitScopes(t *testing.T) {
	t.Parallel()
	per := func(n int) Plugins { return Plugins{RateLimiting: &RateLimiting{Hour: &n, LimitBy: "ip"}} }
	type step struct {
		target string
		want   []int
	}
	for name, tc := range map[string]struct {
		edit  func(*Config)
		steps []step
	}{
		"global: all services together": {
			func(c *Config) { c.Plugins = per(3) },
			[]step{{"/a1", []int{200}}, {"/a2", []int{200}}, {"/b", []int{200, 429}}, {"/a1", []int{429}}},
		},
		"service: its routes together": {
			func(c *Config) { c.Services[0].Plugins = per(2) },
			[]step{{"/a1", []int{200}}, {"/a2", []int{200, 429}}, {"/b", []int{200, 200, 200}}},
		},
		"route: alone": {
			func(c *Config) { c.Services[0].Routes[0].Plugins = per(1) },
			[]step{{"/a1", []int{200, 429}}, {"/a2", []int{200, 200}}},
		},
		"the closest one replaces the others": {
			func(c *Config) {
				c.Plugins = per(1)
				c.Services[0].Plugins = per(2)
				c.Services[0].Routes[0].Plugins = per(3)
			},
			[]step{{"/a1", []int{200, 200, 200, 429}}, {"/a2", []int{200, 200, 429}}, {"/b", []int{200, 429}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			echo := newEcho(t).URL
			c := Config{Services: []Service{
				{Name: "a", URL: echo, Routes: []Route{{Name: "a1", Paths: []string{"/a1"}}, {Name: "a2", Paths: []string{"/a2"}}}},
				{Name: "b", URL: echo, Routes: []Route{{Name: "b", Paths: []string{"/b"}}}},
			}}
			tc.edit(&c)
			_, server := newGateway(t, Options{Config: c})
			for _, s := range tc.steps {
				if got := statuses(t, server, len(s.want), s.target); !cmp.Equal(got, s.want) {
					t.Errorf("%s: %v, want %v", s.target, got, s.want)
				}
			}
		})
	}
}

// TestRateLimitOfAConsumer gives one consumer a limit of its own, and another one on
// one route.
func TestRateLimitOfAConsumer(t *testing.T) {
	t.Parallel()
	c := oneRoute(newEcho(t).URL, Plugins{JWT: &JWT{IssuerPrefixes: []string{"mobilev2"}}, RateLimiting: &RateLimiting{Hour: new(1)}})
	c.Services[0].Routes = append(c.Services[0].Routes, Route{Name: "other", Paths: []string{"/other"}, Plugins: c.Services[0].Routes[0].Plugins})
	c.Consumers[0].Plugins = Plugins{RateLimiting: &RateLimiting{Hour: new(2)}}
	c.Overrides = []Override{{Consumer: "app", Route: "other", Plugins: Plugins{RateLimiting: &RateLimiting{Hour: new(3)}}}}
	_, server := newGateway(t, Options{Config: c})
	app, device := "Authorization: Bearer "+hs(appSecret, "app-key"), "Authorization: Bearer "+deviceToken("mobilev2-x-1591600000000", nil)
	for _, tc := range []struct {
		target, token string
		want          []int
	}{
		{"/demo", device, []int{200, 429}},
		{"/demo", app, []int{200, 200, 429}},
		{"/other", app, []int{200, 200, 200, 429}},
		{"/other", device, []int{200, 429}},
	} {
		if got := statuses(t, server, len(tc.want), tc.target, tc.token); !cmp.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.target, got, tc.want)
		}
	}
}

// TestRateLimitOutlivesAReload changes a limit: what was counted under the old one
// counts under the new.
func TestRateLimitOutlivesAReload(t *testing.T) {
	t.Parallel()
	c := oneRoute(newEcho(t).URL, Plugins{RateLimiting: &RateLimiting{Hour: new(2)}})
	g, server := newGateway(t, Options{Config: c})
	if got := statuses(t, server, 3, "/demo"); !cmp.Equal(got, []int{200, 200, 429}) {
		t.Fatal(got)
	}
	c.Services[0].Routes[0].Plugins.RateLimiting = &RateLimiting{Hour: new(3)}
	if err := g.Reload(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := statuses(t, server, 2, "/demo"); !cmp.Equal(got, []int{200, 429}) {
		t.Errorf("after the limit went from 2 to 3: %v", got)
	}
}

// TestRateLimitReplacesTheUpstreams has an upstream that limits, too: the client hears
// of the limit that it meets first.
func TestRateLimitReplacesTheUpstreams(t *testing.T) {
	t.Parallel()
	h := httptest.NewRecorder().Header()
	for _, name := range []string{"RateLimit-Remaining", "X-RateLimit-Remaining-Hour", "X-Other"} {
		h.Set(name, "7000")
	}
	r := &request{}
	s := newRateStage(&RateLimiting{Hour: new(5)}, nil, scope{}, "s", counters{here: limit.NewCounters(0)})
	if f := s.check(t.Context(), r); f != nil {
		t.Fatal(f.reason)
	}
	r.reply(h)
	if h.Get("RateLimit-Remaining") != "4" || h.Get("X-RateLimit-Remaining-Hour") != "4" || h.Get("X-Other") != "7000" || len(h.Values("RateLimit-Remaining")) != 1 {
		t.Errorf("%v", h)
	}
}

func TestExplainRateLimit(t *testing.T) {
	t.Parallel()
	g, _ := newGateway(t, Options{Config: oneRoute(newEcho(t).URL, Plugins{RateLimiting: &RateLimiting{Hour: new(1)}})})
	for _, want := range []Finding{
		{"rate-limiting", true, "within the limits, counted by ip"},
		{"rate-limiting", false, "over the limit per hour"},
	} {
		all := g.Explain(t.Context(), "GET", "localhost", "/demo", "")
		got := all[len(all)-1]
		if got.Check != want.Check || got.OK != want.OK || !strings.HasSuffix(got.Detail, want.Detail) {
			t.Errorf("Explain() = %+v, want %+v", got, want)
		}
	}
}

func BenchmarkRateStage(b *testing.B) {
	s := newRateStage(&RateLimiting{Minute: new(limit.MaxN), Hour: new(limit.MaxN), Headers: "both"}, nil, scope{route: "r"}, "s", counters{here: limit.NewCounters(1 << 20)})
	b.ReportAllocs()
	for b.Loop() {
		r := &request{now: now}
		if f := s.check(b.Context(), r); f != nil {
			b.Fatal(f.reason)
		}
	}
}
