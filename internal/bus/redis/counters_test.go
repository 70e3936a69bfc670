package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"

	"github.com/carnetproject/carnet/internal/bus/redis/redistest"
	"github.com/carnetproject/carnet/internal/limit"
)

// connect returns a client that is connected until the test ends.
func connect(t testing.TB, url string) *Client {
	t.Helper()
	c, err := New(url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.Run(ctx) })
	t.Cleanup(func() {
		stop()
		wg.Wait()
	})
	<-c.up
	return c
}

// TestCountersAsLocal asks Redis and the counters of one node about the same events.
func TestCountersAsLocal(t *testing.T) {
	t.Parallel()
	shared := NewCounters(connect(t, redistest.Start(t).URL()), "test")
	local := limit.NewCounters(1 << 20)
	rules := []*limit.Rule{
		{Quotas: limit.Quotas{limit.Second: 3, limit.Minute: 200}},
		{Quotas: limit.Quotas{limit.Second: 4}, Sliding: true},
		{Quotas: limit.Quotas{limit.Second: 9, limit.Minute: 20, limit.Hour: 40, limit.Day: 50, limit.Month: 60, limit.Year: 70}},
		{Quotas: limit.Quotas{limit.Second: 2, limit.Year: limit.MaxN}, Sliding: true},
		{Quotas: limit.Quotas{limit.Month: 5, limit.Year: 5}, Sliding: true},
	}
	// One generator, so that a failure can be told by its number.
	random := rand.New(rand.NewPCG(1, 2))
	passed, refused := 0, 0
	for end, n := time.Now().Add(3500*time.Millisecond), 0; time.Now().Before(end); n++ {
		r, name := rules[random.IntN(len(rules))], "id"+strconv.Itoa(random.IntN(2))
		got, at, err := shared.Take(t.Context(), limit.NewID(name), r)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(local.Take(local.Key(name, fmt.Sprint(r.Sliding)), r, at), got); diff != "" {
			t.Fatalf("event %d of %s at %s under %+v:\n%s", n, name, at, *r, diff)
		}
		if got.OK {
			passed++
		} else {
			refused++
		}
		if d := time.Since(at); d.Abs() > time.Minute {
			t.Fatalf("Redis' time is %s", at)
		}
	}
	if passed < 20 || refused < 20 {
		t.Errorf("%d passed, %d refused: nothing is shown", passed, refused)
	}
}

// TestCountersAtOnce has three nodes ask at once: no more than the quota pass.
func TestCountersAtOnce(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for _, sliding := range []bool{false, true} {
		rule := &limit.Rule{Quotas: limit.Quotas{limit.Hour: 100, limit.Day: 100}, Sliding: sliding}
		var passed atomic.Int32
		var wg sync.WaitGroup
		for range 3 {
			node := NewCounters(connect(t, server.URL()), "test")
			for range 8 {
				wg.Go(func() {
					for range 20 {
						u, _, err := node.Take(t.Context(), limit.NewID("somebody"), rule)
						if err != nil {
							t.Error(err)
						}
						if u.OK {
							passed.Add(1)
						}
					}
				})
			}
		}
		wg.Wait()
		if passed.Load() != 100 {
			t.Errorf("sliding %t: %d passed, want 100", sliding, passed.Load())
		}
	}
}

// eval runs a piece of Lua after what the scripts have in common.
func eval(t *testing.T, c *Client, lua string, args ...string) []string {
	t.Helper()
	got, err := rueidis.NewLuaScript(windowLua+lua).Exec(t.Context(), c.get(), nil, args).AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWindows(t *testing.T) {
	t.Parallel()
	c := connect(t, redistest.Start(t).URL())
	times := []time.Time{
		time.Unix(0, 0), time.Unix(951782400, 0), // 29 February 2000
		time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC), time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2100, 2, 28, 12, 0, 0, 0, time.UTC), time.Date(2105, 12, 1, 0, 0, 0, 0, time.UTC),
	}
	for range 300 {
		times = append(times, time.Unix(rand.Int64N(4_200_000_000), 0))
	}
	for _, at := range times {
		at = at.UTC()
		y, m, _ := at.Date()
		date := func(y int, m time.Month) string {
			return strconv.FormatInt(time.Date(y, m, 1, 0, 0, 0, 0, time.UTC).Unix(), 10)
		}
		want := []string{date(y, m), date(y, m+1), date(y, 1), date(y+1, 1)}
		for _, p := range []limit.Period{limit.Second, limit.Minute, limit.Hour, limit.Day} {
			start := at.Truncate(time.Duration(p.Seconds()) * time.Second).Unix()
			want = append(want, strconv.FormatInt(start, 10), strconv.FormatInt(start+p.Seconds(), 10))
		}
		got := eval(t, c, `
			local out, at = {}, tonumber(ARGV[1])
			for _, p in ipairs({4, 5, 0, 1, 2, 3}) do
				local start, stop = span(p, at)
				out[#out + 1], out[#out + 2] = string.format('%.0f', start), string.format('%.0f', stop)
			end
			return out`, strconv.FormatInt(at.Unix(), 10))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", at, diff)
		}
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	c := connect(t, redistest.Start(t).URL())
	const year = 366 * 86400 * 1_000_000
	for _, whole := range []int64{1_000_000, 3_600_000_000, year} {
		for i := range 200 {
			n, part := rand.Int64N(1<<32), rand.Int64N(whole+1)
			switch i {
			case 0:
				n, part = 1<<32-1, whole
			case 1:
				n, part = 1<<32-1, 1
			case 2:
				n, part = 1, whole-1
			}
			x := new(big.Int).Mul(big.NewInt(n), big.NewInt(part))
			want := x.Add(x, big.NewInt(whole-1)).Div(x, big.NewInt(whole)).String()
			got := eval(t, c, `return {string.format('%.0f', share(tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])))}`,
				strconv.FormatInt(n, 10), strconv.FormatInt(part, 10), strconv.FormatInt(whole, 10))
			if got[0] != want {
				t.Errorf("share(%d, %d, %d) = %s, want %s", n, part, whole, got[0], want)
			}
		}
	}
}

func TestAdd(t *testing.T) {
	t.Parallel()
	c := connect(t, redistest.Start(t).URL())
	counters := NewCounters(c, "test")
	_, now, err := counters.Add(t.Context(), nil)
	if err != nil || time.Since(now).Abs() > time.Minute {
		t.Fatalf("Add() of nothing = %v, %v; want the time", now, err)
	}
	day := uint32(now.Unix() - now.Unix()%86400)
	const length = 86400
	type step struct {
		delta limit.Delta
		want  limit.Count
	}
	at := func(id string, sliding bool, until, n uint32) limit.Delta {
		return limit.Delta{Mark: limit.Mark{ID: limit.NewID(id), Period: limit.Day, Sliding: sliding, Until: until}, N: n}
	}
	for name, steps := range map[string][]step{
		"fixed": {
			{at("f", false, day+length, 3), limit.Count{Until: day + length, N: 3}},
			{at("f", false, day+length, 4), limit.Count{Until: day + length, N: 7}},
			{at("f", false, day+2*length, 5), limit.Count{Until: day + 2*length, N: 5}},
			{at("f", false, day+length, 6), limit.Count{Until: day + 2*length, N: 5}}, // too late to matter
		},
		"sliding": {
			{at("s", true, day+2*length, 3), limit.Count{Until: day + 2*length, N: 3}},
			{at("s", true, day+3*length, 5), limit.Count{Until: day + 3*length, N: 5, Last: 3}},
			{at("s", true, day+2*length, 4), limit.Count{Until: day + 3*length, N: 5, Last: 7}},
			{at("s", true, day+6*length, 1), limit.Count{Until: day + 6*length, N: 1}},
			{at("s", true, day+3*length, 1), limit.Count{Until: day + 6*length, N: 1}},
		},
		"over": {{at("o", false, day-length, 3), limit.Count{Until: day - length, N: 3}}},
	} {
		for i, s := range steps {
			got, _, err := counters.Add(t.Context(), []limit.Delta{s.delta})
			if err != nil || !cmp.Equal(got, []limit.Count{s.want}) {
				t.Errorf("%s %d: Add() = %+v, %v, want %+v", name, i, got, err, s.want)
			}
		}
	}
	u, _, err := counters.Take(t.Context(), limit.NewID("s"), &limit.Rule{Quotas: limit.Quotas{limit.Day: 2}, Sliding: true})
	if err != nil || u.Windows[limit.Day].Remaining != 0 || !u.OK {
		t.Errorf("Take() after Add() = %+v, %v; want the second of two", u, err)
	}
	if n, err := c.get().Do(t.Context(), c.get().B().Exists().Key(counters.key(limit.NewID("o"), false)).Build()).AsInt64(); n != 0 || err != nil {
		t.Errorf("a window that is over was written: %d, %v", n, err)
	}
}

// TestKeys looks at what Redis gets to know, and for how long.
func TestKeys(t *testing.T) {
	t.Parallel()
	c := connect(t, redistest.Start(t).URL())
	counters := NewCounters(c, "carnet:test")
	id := limit.NewID("route", "mobilev2-dev.sunbird.app-1-1591600000000")
	for _, tc := range []struct {
		rule limit.Rule
		most time.Duration // that the key lives
	}{
		{limit.Rule{Quotas: limit.Quotas{limit.Minute: 5}}, time.Minute},
		{limit.Rule{Quotas: limit.Quotas{limit.Minute: 5}, Sliding: true}, 2 * time.Minute},
		{limit.Rule{Quotas: limit.Quotas{limit.Minute: 5, limit.Hour: 9}}, time.Hour},
		{limit.Rule{Quotas: limit.Quotas{limit.Minute: 9}}, time.Hour}, // as it was: others may still count the hour
	} {
		if u, _, err := counters.Take(t.Context(), id, &tc.rule); err != nil || !u.OK {
			t.Fatalf("Take() = %+v, %v", u, err)
		}
		left, err := c.get().Do(t.Context(), c.get().B().Pttl().Key(counters.key(id, tc.rule.Sliding)).Build()).AsInt64()
		if d := time.Duration(left) * time.Millisecond; err != nil || d <= 0 || d > tc.most {
			t.Errorf("%+v: the key lives for %s, %v; want at most %s", tc.rule, d, err, tc.most)
		}
	}
	keys, err := c.get().Do(t.Context(), c.get().B().Keys().Pattern("*").Build()).AsStrSlice()
	if err != nil || len(keys) != 2 {
		t.Fatalf("keys %q, %v; want one for each kind of rule", keys, err)
	}
	for _, k := range keys {
		if !strings.HasPrefix(k, "carnet:test:limit:") || strings.Contains(k, "sunbird") {
			t.Errorf("key %q tells who it is of, or lacks the prefix", k)
		}
	}
}

func TestCountersTrouble(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	away, err := New(server.URL(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	rule := &limit.Rule{Quotas: limit.Quotas{limit.Hour: 1}}
	id := limit.NewID("x")
	delta := []limit.Delta{{Mark: limit.Mark{ID: id, Period: limit.Hour, Until: 4e9}, N: 1}}
	if _, _, err := NewCounters(away, "test").Take(t.Context(), id, rule); !errors.Is(err, ErrAway) {
		t.Errorf("Take() that never connected: %v, want ErrAway", err)
	}
	if _, _, err := NewCounters(away, "test").Add(t.Context(), delta); !errors.Is(err, ErrAway) {
		t.Errorf("Add() that never connected: %v, want ErrAway", err)
	}

	c := connect(t, server.URL())
	counters := NewCounters(c, "test")
	if err := c.get().Do(t.Context(), c.get().B().Set().Key(counters.key(id, false)).Value("x").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if u, _, err := counters.Take(t.Context(), id, rule); err == nil || u.OK {
		t.Errorf("Take() of a key that is no hash = %+v, %v; want an error", u, err)
	}
	if _, _, err := counters.Add(t.Context(), delta); err == nil {
		t.Error("Add() to a key that is no hash succeeds")
	}
	other := limit.NewID("y")
	if err := c.get().Do(t.Context(), c.get().B().Hset().Key(counters.key(other, false)).FieldValue().FieldValue("2", "what is this").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if u, _, err := counters.Take(t.Context(), other, rule); err != nil || !u.OK {
		t.Errorf("Take() of a counter that cannot be read = %+v, %v; want a first event", u, err)
	}

	server.Stop()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, _, err := counters.Take(short, limit.NewID("z"), rule); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Take() of a Redis that hangs: %v, want a deadline", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Take() of a Redis that hangs took %s", took)
	}
	server.Continue()
}

func BenchmarkCountersTake(b *testing.B) {
	counters := NewCounters(connect(b, redistest.Start(b).URL()), "bench")
	rule := &limit.Rule{Quotas: limit.Quotas{limit.Minute: limit.MaxN, limit.Hour: limit.MaxN}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := counters.Take(b.Context(), limit.NewID("somebody"), rule); err != nil {
				b.Fatal(err)
			}
		}
	})
}
