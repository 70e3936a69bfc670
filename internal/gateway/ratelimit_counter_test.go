package gateway

import (
	"context"
	"errors"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/limit"
)

// memory is what gateways share in place of Redis.
type memory struct {
	dial     *dial
	counters *limit.Counters

	mu  sync.Mutex
	err error
	n   int
}

func newMemory(d *dial) *memory { return &memory{dial: d, counters: limit.NewCounters(1 << 20)} }

// shared is a node's way to it.
func (m *memory) shared(d *dial) *limit.Shared {
	return limit.NewShared(limit.SharedConfig{Remote: m, Bytes: 1 << 20, Clock: d.now})
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// asked is how often it was.
func (m *memory) asked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.n
}

func (m *memory) Take(_ context.Context, id limit.ID, r *limit.Rule) (limit.Usage, time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n++
	if m.err != nil {
		return limit.Usage{}, time.Time{}, m.err
	}
	at := m.dial.now()
	return m.counters.Take(m.counters.Key(string(id[:])), r, at), at, nil
}

func (m *memory) Add(context.Context, []limit.Delta) ([]limit.Count, time.Time, error) {
	return nil, time.Time{}, errors.New("nobody tells it anything here")
}

// TestSharedLimits has three gateways let as many pass as one would.
func TestSharedLimits(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		plugin RateLimiting
		want   []int // of six requests, in turn
	}{
		"local":   {RateLimiting{Hour: new(2), Policy: "local"}, []int{200, 200, 200, 200, 200, 200}},
		"redis":   {RateLimiting{Hour: new(2), Policy: "redis"}, []int{200, 200, 429, 429, 429, 429}},
		"cluster": {RateLimiting{Hour: new(2), Policy: "cluster"}, []int{200, 200, 429, 429, 429, 429}},
		"sliding": {RateLimiting{Hour: new(2), Policy: "redis", Window: "sliding"}, []int{200, 200, 429, 429, 429, 429}},
		"at once": {RateLimiting{Hour: new(2), Policy: "redis", SyncRate: -1}, []int{200, 200, 429, 429, 429, 429}},
		"synced":  {RateLimiting{Hour: new(2), Policy: "redis", SyncRate: 60}, []int{200, 200, 200, 200, 200, 200}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDial()
			redis := newMemory(d)
			var nodes []*httptest.Server
			for range 3 {
				_, server := newGateway(t, Options{
					Config: oneRoute(newEcho(t).URL, Plugins{RateLimiting: &tc.plugin}), Clock: d.now, Shared: redis.shared(d),
				})
				nodes = append(nodes, server)
			}
			var got []int
			for i := range tc.want {
				got = append(got, call(t, nodes[i%3], "GET", "/demo").status)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNothingShared refuses what cannot be, and keeps what was.
func TestNothingShared(t *testing.T) {
	t.Parallel()
	c := oneRoute(newEcho(t).URL, Plugins{})
	g, server := newGateway(t, Options{Config: c})
	c.Plugins.RateLimiting = &RateLimiting{Hour: new(1), Policy: "redis"}
	c.Services[0].Plugins.RateLimiting = &RateLimiting{Hour: new(1), Policy: "cluster"}
	want := "plugins.rate-limiting.policy: " + NothingShared + "\nservices[0].plugins.rate-limiting.policy: " + NothingShared
	if err := g.Reload(t.Context(), c); err == nil || err.Error() != want {
		t.Errorf("Reload() = %v, want %s", err, want)
	}
	if diff := cmp.Diff([]string{"plugins.rate-limiting.policy", "services[0].plugins.rate-limiting.policy"}, c.Sharing()); diff != "" {
		t.Error(diff)
	}
	if got := statuses(t, server, 2, "/demo"); !cmp.Equal(got, []int{200, 200}) {
		t.Errorf("%v, want what was in force", got)
	}
}

// TestSharedAway has nothing to share any more: by default each gateway goes on by itself,
// and what it has let pass counts.
func TestSharedAway(t *testing.T) {
	t.Parallel()
	d := newDial()
	redis := newMemory(d)
	_, server := newGateway(t, Options{
		Config: oneRoute(newEcho(t).URL, Plugins{RateLimiting: &RateLimiting{Hour: new(3), Policy: "redis"}}), Clock: d.now, Shared: redis.shared(d),
	})
	got := statuses(t, server, 2, "/demo")
	redis.fail(errors.New("dial tcp: refused"))
	got = append(got, statuses(t, server, 2, "/demo")...)
	if want := []int{200, 200, 200, 429}; !cmp.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	d.turn(time.Second)
	statuses(t, server, 1, "/demo")
	before := redis.asked()
	if statuses(t, server, 2, "/demo"); redis.asked() != before {
		t.Errorf("it is asked %d times while it is away", redis.asked()-before)
	}
}
