package redis

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/bus/redis/redistest"
	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/limit"
)

// quota is what each limit of these tests lets pass in a day.
const quota = 100

// gateways starts three nodes' gateways that share a Redis. Each of their routes has a
// limit, by the header Who.
func gateways(t *testing.T, url string) (nodes []*gateway.Gateway, limits counts) {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(upstream.Close)
	c := gateway.Config{Services: []gateway.Service{{Name: "s", URL: upstream.URL}}}
	for path, p := range map[string]gateway.RateLimiting{
		"/shared": {},
		"/strict": {FaultTolerant: new(bool)},
		"/synced": {SyncRate: 0.1},
	} {
		p.Day, p.Policy, p.LimitBy, p.HeaderName = new(quota), "redis", "header", "Who"
		c.Services[0].Routes = append(c.Services[0].Routes, gateway.Route{
			Name: path, Paths: []string{path}, Plugins: gateway.Plugins{RateLimiting: &p},
		})
	}
	for range 3 {
		shared := limit.NewShared(limit.SharedConfig{Remote: NewCounters(connect(t, url), "test"), Bytes: 1 << 20})
		g, err := gateway.New(t.Context(), gateway.Options{Config: c, Shared: shared})
		if err != nil {
			t.Fatal(err)
		}
		nodes, limits = append(nodes, g), append(limits, shared)
		ctx, stop := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { _ = shared.Run(ctx) })
		t.Cleanup(func() {
			stop()
			wg.Wait()
		})
	}
	return nodes, limits
}

// counts are those of some nodes.
type counts []*limit.Shared

// alone is how many requests were counted by one node, as those are for which a busy
// machine keeps Redis from answering in time.
func (c counts) alone() (n int) {
	for _, s := range c {
		n += int(s.Stats().Alone)
	}
	return n
}

// exact fails unless as many passed as the quota, but for those that were counted alone.
func exact(t *testing.T, what string, passed, alone int) {
	t.Helper()
	if passed < quota || passed > quota+alone {
		t.Errorf("%s: %d passed on three nodes, want %d; %d were counted alone", what, passed, quota, alone)
	}
}

func ask(t *testing.T, g *gateway.Gateway, path, who string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	r.Header.Set("Who", who)
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

// crowd sends each request to each node at once, and returns how many were let through.
func crowd(t *testing.T, nodes []*gateway.Gateway, path, who string, each int) int {
	t.Helper()
	var passed atomic.Int32
	var wg sync.WaitGroup
	const callers = 4
	for _, g := range nodes {
		for range callers {
			wg.Go(func() {
				for range each / callers {
					switch w := ask(t, g, path, who); w.Code {
					case http.StatusOK:
						passed.Add(1)
					case http.StatusTooManyRequests:
					default:
						t.Errorf("%s is answered %d", path, w.Code)
					}
				}
			})
		}
	}
	wg.Wait()
	return int(passed.Load())
}

// sameDay runs f again if a day, and with it the counts, has ended meanwhile.
func sameDay(f func(day string)) {
	const form = "2006-01-02"
	for day := ""; day != time.Now().UTC().Format(form); {
		day = time.Now().UTC().Format(form)
		f(day)
	}
}

// TestThreeGateways has three nodes asked at once, with Redis and without.
func TestThreeGateways(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	nodes, limits := gateways(t, server.URL())
	sameDay(func(day string) {
		before := limits.alone()
		passed := crowd(t, nodes, "/shared", day, 2*quota)
		exact(t, "with Redis", passed, limits.alone()-before)
		first := crowd(t, nodes, "/shared", "another "+day, quota/5)
		server.Kill()
		after := crowd(t, nodes, "/shared", "another "+day, 2*quota)
		if got := first + after; got > 3*quota || got <= quota {
			t.Errorf("%d passed, and %d without Redis: want more than %d and at most %d", first, after, quota, 3*quota)
		}
		if w := ask(t, nodes[0], "/strict", "another "+day); w.Code != http.StatusInternalServerError || w.Header().Get("RateLimit-Limit") != "" {
			t.Errorf("where counting must not fail: %d %s", w.Code, w.Body)
		}
		server.Restart()
		for _, g := range nodes {
			until(t, func() bool { return ask(t, g, "/strict", "nobody "+day).Code == http.StatusOK })
		}
		before = limits.alone()
		passed = crowd(t, nodes, "/shared", "a third "+day, 2*quota)
		exact(t, "with Redis again", passed, limits.alone()-before)
	})
}

// TestHangingRedis is found out, and requests go on.
func TestHangingRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	nodes, limits := gateways(t, server.URL())
	sameDay(func(day string) {
		for _, g := range nodes {
			until(t, func() bool { return ask(t, g, "/strict", "nobody "+day).Code == http.StatusOK })
		}
		server.Stop()
		until(t, func() bool {
			if w := ask(t, nodes[0], "/shared", day); w.Code >= 500 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			return !limits[0].Stats().Up
		})
		server.Continue()
		for _, g := range nodes {
			until(t, func() bool { return ask(t, g, "/strict", "nobody "+day).Code == http.StatusOK })
		}
		before := limits.alone()
		passed := crowd(t, nodes, "/shared", "another "+day, 2*quota)
		exact(t, "once it goes on", passed, limits.alone()-before)
	})
}

// TestSyncedGateways learn of each other in a tenth of a second.
func TestSyncedGateways(t *testing.T) {
	t.Parallel()
	nodes, _ := gateways(t, redistest.Start(t).URL())
	sameDay(func(day string) {
		if got := crowd(t, nodes, "/synced", day, quota/5); got != 3*quota/5 {
			t.Errorf("%d passed, want all %d", got, 3*quota/5)
		}
		passed := 3 * quota / 5
		for _, g := range nodes {
			until(t, func() bool {
				w := ask(t, g, "/synced", day)
				if w.Code == http.StatusOK {
					passed++
				}
				return w.Code == http.StatusTooManyRequests
			})
		}
		if passed < quota || passed > 2*quota {
			t.Errorf("%d passed, want %d and little more", passed, quota)
		}
	})
}
