package limit

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func TestAllowCountsPerWindow(t *testing.T) {
	t.Parallel()
	l := New(Rate{N: 2, Per: time.Minute}, 100)
	for _, step := range []struct {
		after time.Duration
		key   string
		ok    bool
		retry time.Duration
	}{
		{0, "a", true, 0},
		{20 * time.Second, "a", true, 0},
		{20 * time.Second, "b", true, 0},
		{30 * time.Second, "a", false, 30 * time.Second},
		{59 * time.Second, "a", false, time.Second},
		{time.Minute, "a", true, 0}, // the window opened at 0
		{61 * time.Second, "b", true, 0},
		{62 * time.Second, "a", true, 0},
		{63 * time.Second, "a", false, 57 * time.Second},
	} {
		ok, retry := l.Allow(step.key, noon.Add(step.after))
		if ok != step.ok || retry != step.retry {
			t.Errorf("%s at +%v: Allow() = %v, %v, want %v, %v", step.key, step.after, ok, retry, step.ok, step.retry)
		}
	}
}

func TestNoLimit(t *testing.T) {
	t.Parallel()
	l := New(Rate{}, 1)
	for range 10_000 {
		if ok, _ := l.Allow("a", noon); !ok {
			t.Fatal("a limiter without a limit refused")
		}
		if ok, _ := l.AllowAddr(netip.Addr{}, noon); !ok {
			t.Fatal("a limiter without a limit refused")
		}
	}
}

func TestClockSetBack(t *testing.T) {
	t.Parallel()
	l := New(Rate{N: 1, Per: time.Minute}, 100)
	l.Allow("a", noon)
	if ok, _ := l.Allow("a", noon.Add(-time.Microsecond)); ok {
		t.Error("a goroutine whose reading of the clock is a little older got a window of its own")
	}
	if ok, _ := l.Allow("a", noon.Add(-time.Hour)); !ok {
		t.Error("after the clock was set back an hour the key stays locked for an hour")
	}
}

func TestAllowAddr(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		first, second string
		same          bool
	}{
		"one IPv4":            {"192.0.2.1", "192.0.2.1", true},
		"two IPv4":            {"192.0.2.1", "192.0.2.2", false},
		"IPv4 mapped":         {"192.0.2.1", "::ffff:192.0.2.1", true},
		"one IPv6 network":    {"2001:db8::1", "2001:db8::ffff:2", true},
		"two IPv6 networks":   {"2001:db8::1", "2001:db8:0:1::1", false},
		"IPv4 and IPv6 alike": {"0.0.0.0", "::", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := New(Rate{N: 1, Per: time.Minute}, 100)
			l.AllowAddr(netip.MustParseAddr(tc.first), noon)
			ok, _ := l.AllowAddr(netip.MustParseAddr(tc.second), noon)
			if ok == tc.same {
				t.Errorf("%s and %s share a count: %v, want %v", tc.first, tc.second, !ok, tc.same)
			}
		})
	}
}

// TestAskAddr asks at each step of an address's count, which goes on as if nobody had asked.
func TestAskAddr(t *testing.T) {
	t.Parallel()
	l, addr := New(Rate{N: 2, Per: time.Minute}, 100), netip.MustParseAddr("192.0.2.1")
	for i, step := range []struct {
		at    time.Duration
		ok    bool
		retry time.Duration
	}{
		{0, true, 0},
		{10 * time.Second, true, 0}, // the window opens
		{20 * time.Second, true, 0},
		{30 * time.Second, false, 40 * time.Second},
		{70 * time.Second, true, 0},
	} {
		now := noon.Add(step.at)
		for range 3 {
			if ok, retry := l.AskAddr(addr, now); ok != step.ok || retry != step.retry {
				t.Errorf("step %d: AskAddr() = %v, %v, want %v, %v", i, ok, retry, step.ok, step.retry)
			}
		}
		if i == 0 {
			continue // whoever only asks opens no window
		}
		if ok, _ := l.AllowAddr(addr, now); ok != step.ok {
			t.Errorf("step %d: AllowAddr() = %v after an answer of %v", i, ok, step.ok)
		}
	}
	if ok, _ := New(Rate{}, 1).AskAddr(addr, noon); !ok {
		t.Error("a limiter without a limit refused")
	}
}

// TestFullTable floods a small table: the flood as a whole gets no more than
// its share, and a key that was counted before stays counted.
func TestNetwork(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32",
		"2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := Network(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("Network(%s) = %v, want %s", addr, got, want)
		}
	}
	if got := Network(netip.Addr{}); got != (netip.Prefix{}) {
		t.Errorf("Network of no address = %v", got)
	}
}

func TestFullTable(t *testing.T) {
	t.Parallel()
	const n = 3
	l := New(Rate{N: n, Per: time.Minute}, 1) // one shard's least: reach slots
	for range n {
		if ok, _ := l.Allow("victim", noon); !ok {
			t.Fatal("refused below the rate")
		}
	}
	const flood = 100_000
	passed := 0
	for i := range flood {
		if ok, _ := l.Allow(fmt.Sprint("flood-", i), noon); ok {
			passed++
		}
	}
	if most := shards * (reach + n); passed > most {
		t.Errorf("%d of %d new keys passed a full table, want at most %d", passed, flood, most)
	}
	if ok, _ := l.Allow("victim", noon); ok {
		t.Error("the flood made the limiter forget a count")
	}
	if ok, retry := l.Allow("late", noon); ok || retry != time.Minute {
		t.Errorf("a late key in a full table: Allow() = %v, %v, want refused for a minute", ok, retry)
	}
	if ok, _ := l.Allow("late", noon.Add(time.Minute)); !ok {
		t.Error("ended windows did not make room")
	}
}

// TestRoom shows that a table holds the keys it was made for.
func TestRoom(t *testing.T) {
	t.Parallel()
	const keys = 10_000
	l := New(Rate{N: 1, Per: time.Minute}, keys)
	refused := 0
	for i := range keys {
		if ok, _ := l.Allow(fmt.Sprint(i), noon); !ok {
			refused++
		}
	}
	if refused > keys/100 {
		t.Errorf("%d of %d first events refused", refused, keys)
	}
}

func TestExactUnderConcurrency(t *testing.T) {
	t.Parallel()
	const goroutines, keys, n = 64, 7, 1000
	l := New(Rate{N: n, Per: time.Hour}, 100)
	var passed [keys]atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := range n {
				k := i % keys
				if ok, _ := l.Allow(string(rune('a'+k)), noon.Add(time.Duration(n-i))); ok {
					passed[k].Add(1)
				}
			}
		})
	}
	wg.Wait()
	for k := range passed {
		if got := passed[k].Load(); got != n {
			t.Errorf("key %d: %d passed, want %d", k, got, n)
		}
	}
}

func TestAllowDoesNotAllocate(t *testing.T) {
	l := New(Rate{N: 10, Per: time.Second}, 100)
	addr := netip.MustParseAddr("2001:db8::1")
	if got := testing.AllocsPerRun(1000, func() {
		l.Allow("some key of a usual length", noon)
		l.AllowAddr(addr, noon)
	}); got != 0 {
		t.Errorf("%v allocations per event, want none", got)
	}
}

func BenchmarkAllow(b *testing.B) {
	l := New(Rate{N: 1 << 30, Per: time.Hour}, 65536)
	b.ReportAllocs()
	for b.Loop() {
		l.Allow("192.0.2.17", noon)
	}
}
