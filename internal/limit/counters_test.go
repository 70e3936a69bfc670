package limit

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

func newTable() *Counters { return NewCounters(1 << 20) }

func perMinute(n int) *Rule { return &Rule{Quotas: Quotas{Minute: n}} }

func TestWindowsFollowTheCalendar(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 2, 29, 23, 59, 58, 250_000_000, time.UTC)
	want := map[Period]time.Duration{
		Second: 750 * time.Millisecond, Minute: 1750 * time.Millisecond, Hour: 1750 * time.Millisecond,
		Day: 1750 * time.Millisecond, Month: 1750 * time.Millisecond,
		Year: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Sub(at),
	}
	for p := range NumPeriods {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			c := newTable()
			r := &Rule{}
			r.Quotas[p] = 1
			u := c.Take(c.Key("k"), r, at.In(time.FixedZone("", 5*3600+1800)))
			if !u.OK || u.Windows[p] != (Window{Limit: 1, Reset: want[p]}) {
				t.Errorf("Take() = %+v, want a reset after %v", u.Windows[p], want[p])
			}
			if u := c.Take(c.Key("k"), r, at.Add(want[p]-1)); u.OK {
				t.Error("a second event passed in the last nanosecond of the window")
			}
			if u := c.Take(c.Key("k"), r, at.Add(want[p])); !u.OK {
				t.Error("the next window did not begin where this one ends")
			}
		})
	}
}

// TestTakeCountsAllOrNothing walks two windows of one key.
func TestTakeCountsAllOrNothing(t *testing.T) {
	t.Parallel()
	c := newTable()
	r := &Rule{Quotas: Quotas{Second: 1, Minute: 3}}
	type state struct {
		OK             bool
		Second, Minute int
	}
	var got []state
	for _, after := range []time.Duration{0, 1, 2, time.Second, 2 * time.Second, 3 * time.Second, time.Minute} {
		u := c.Take(c.Key("k"), r, noon.Add(after))
		got = append(got, state{u.OK, u.Windows[Second].Remaining, u.Windows[Minute].Remaining})
		if u.Windows[Hour] != (Window{}) {
			t.Fatalf("a window without a quota: %+v", u.Windows[Hour])
		}
	}
	want := []state{
		{true, 0, 2},
		{false, 0, 2}, // refused by the second: not counted in the minute
		{false, 0, 2},
		{true, 0, 1},
		{true, 0, 0},
		{false, 1, 0}, // refused by the minute: not counted in the second
		{true, 0, 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSlidingWindow(t *testing.T) {
	t.Parallel()
	c := newTable()
	r := &Rule{Quotas: Quotas{Minute: 10}, Sliding: true}
	k := c.Key("k")
	for _, step := range []struct {
		after     time.Duration
		events    int
		passed    int
		remaining int
		reset     time.Duration
	}{
		{0, 4, 4, 6, 60 * time.Second},
		{50 * time.Second, 8, 6, 0, 16 * time.Second}, // 10 in this window: one is free 6 s into the next
		{60 * time.Second, 1, 0, 0, 6 * time.Second},  // all ten count in full
		{66 * time.Second, 2, 1, 0, 6 * time.Second},  // nine of them, and one
		{90 * time.Second, 9, 4, 0, 6 * time.Second},  // five of them, and five
		{90*time.Second + 59*time.Second, 1, 1, 6, 31 * time.Second},
		{400 * time.Second, 1, 1, 9, 20 * time.Second}, // two windows on, nothing is left of it
	} {
		passed := 0
		var u Usage
		for range step.events {
			if u = c.Take(k, r, noon.Add(step.after)); u.OK {
				passed++
			}
		}
		want := Window{10, step.remaining, step.reset}
		if got := u.Windows[Minute]; passed != step.passed || got != want {
			t.Errorf("at +%v: %d passed, %+v; want %d, %+v", step.after, passed, got, step.passed, want)
		}
	}
}

// TestResetKeepsItsWord shows that an event passes at the moment that a refusal names,
// and not before.
func TestResetKeepsItsWord(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		c := NewCounters(0)
		r := &Rule{Sliding: i%2 == 0}
		p := Period(rng.IntN(int(Day) + 1))
		r.Quotas[p] = 1 + rng.IntN(20)
		at := noon.Add(time.Duration(rng.Int64N(int64(time.Hour))))
		for range 60 {
			at = at.Add(time.Duration(rng.Int64N(p.Seconds() * int64(time.Second) / 10)))
			c.Take(1, r, at)
		}
		u := c.Take(1, r, at)
		if u.OK {
			continue
		}
		free := u.Windows[p].Reset
		if free <= 0 {
			t.Fatalf("refused with a reset of %v", free)
		}
		if c.Take(1, r, at.Add(free-1)).OK {
			t.Fatalf("%v %+v: passed before %v", p, r, free)
		}
		if !c.Take(1, r, at.Add(free)).OK {
			t.Fatalf("%v %+v: refused after %v", p, r, free)
		}
	}
}

// model is what Counters do, written down plainly.
type model map[string]int64

func (m model) take(key string, r *Rule, now time.Time) bool {
	starts := func(p Period, t time.Time) time.Time {
		y, mon, d := t.Date()
		switch p {
		case Year:
			return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC)
		case Month:
			return time.Date(y, mon, 1, 0, 0, 0, 0, time.UTC)
		case Day:
			return time.Date(y, mon, d, 0, 0, 0, 0, time.UTC)
		default:
			return t.Truncate(time.Duration(p.Seconds()) * time.Second)
		}
	}
	end := func(p Period, start time.Time) time.Time {
		switch p {
		case Year:
			return start.AddDate(1, 0, 0)
		case Month:
			return start.AddDate(0, 1, 0)
		default:
			return start.Add(time.Duration(p.Seconds()) * time.Second)
		}
	}
	ok := true
	for p, quota := range r.Quotas {
		if quota == 0 {
			continue
		}
		start := starts(Period(p), now)
		used := new(big.Rat).SetInt64(m[fmt.Sprint(key, p, start)])
		if r.Sliding {
			stop := end(Period(p), start)
			before := m[fmt.Sprint(key, p, starts(Period(p), start.Add(-1)))]
			used.Add(used, big.NewRat(before*int64(stop.Sub(now)), int64(stop.Sub(start))))
		}
		ok = ok && used.Cmp(new(big.Rat).SetInt64(int64(quota-1))) <= 0
	}
	for p, quota := range r.Quotas {
		if ok && quota > 0 {
			m[fmt.Sprint(key, p, starts(Period(p), now))]++
		}
	}
	return ok
}

func TestCountersAgreeWithTheModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 3))
		c, m := newTable(), model{}
		r := &Rule{Sliding: seed%2 == 1}
		for p := range NumPeriods {
			if rng.IntN(2) == 0 {
				r.Quotas[p] = 1 + rng.IntN(6) + int(p)*8
			}
		}
		step := time.Duration(1) << (20 + rng.IntN(32)) // from a millisecond to a month
		now := noon
		for i := range 2000 {
			now = now.Add(time.Duration(rng.Int64N(int64(step))))
			key := string(rune('a' + rng.IntN(5)))
			if got, want := c.Take(c.Key(key), r, now).OK, m.take(key, r, now); got != want {
				t.Fatalf("seed %d, event %d, %+v at %v: OK = %v, want %v", seed, i, r, now, got, want)
			}
		}
	}
}

// TestCountersExactUnderConcurrency lets 64 goroutines ask at once, some of them with
// a reading of the clock from before the window turned.
func TestCountersExactUnderConcurrency(t *testing.T) {
	t.Parallel()
	for name, sliding := range map[string]bool{"fixed": false, "sliding": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const goroutines, keys, quota, events = 64, 5, 1000, 700
			c := newTable()
			r := &Rule{Quotas: Quotas{Second: quota, Hour: 3 * quota}, Sliding: sliding}
			turn := noon.Add(time.Second)
			// The clock has turned for one of them before any other begins.
			var passed [keys]atomic.Int64
			for k := range keys {
				if c.Take(c.Key("key", fmt.Sprint(k)), r, turn).OK {
					passed[k].Add(1)
				}
			}
			var wg sync.WaitGroup
			for g := range goroutines {
				wg.Go(func() {
					for i := range events {
						k := (g + i) % keys
						if c.Take(c.Key("key", fmt.Sprint(k)), r, turn.Add(time.Duration(i%100-50))).OK {
							passed[k].Add(1)
						}
					}
				})
			}
			wg.Wait()
			for k := range passed {
				if got := passed[k].Load(); got != quota {
					t.Errorf("key %d: %d passed, want %d", k, got, quota)
				}
			}
		})
	}
}

func TestCountersClockSetBack(t *testing.T) {
	t.Parallel()
	c := newTable()
	c.Take(1, perMinute(1), noon)
	if c.Take(1, perMinute(1), noon.Add(-time.Second)).OK {
		t.Error("a late reading of the clock got the window before")
	}
	if !c.Take(1, perMinute(1), noon.Add(-time.Hour)).OK {
		t.Error("after the clock was set back an hour the key stays locked for an hour")
	}
	if c.Take(1, perMinute(1), noon.Add(-time.Hour)).OK {
		t.Error("after the clock was set back nothing is counted")
	}
}

func TestReturn(t *testing.T) {
	t.Parallel()
	c := newTable()
	r := &Rule{Quotas: Quotas{Minute: 1, Hour: 5}}
	c.Return(1, r, noon) // nothing was taken
	for i := range 5 {
		if !c.Take(1, r, noon).OK {
			t.Fatalf("event %d refused after the one before was returned", i)
		}
		c.Return(1, r, noon)
	}
	c.Take(1, r, noon)
	later := noon.Add(time.Minute)
	c.Return(1, r, later)
	if u := c.Take(1, r, later); !u.OK || u.Windows[Hour].Remaining != 4 {
		t.Errorf("after a return in the next minute: %+v", u)
	}
	c.Return(1, r, noon) // too late for the minute
	if u := c.Take(1, r, later); u.OK {
		t.Error("a return for a window that has ended made room in the present one")
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	c := newTable()
	seen := map[Key][]string{}
	for _, parts := range [][]string{
		nil, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"a", "b"}, {"ab"}, {"b", "a"}, {"a:b"}, {"a", "b", ""}, {"\x00"}, {"\x00", ""},
	} {
		k := c.Key(parts...)
		if other, taken := seen[k]; taken {
			t.Errorf("%q and %q have one key", parts, other)
		}
		seen[k] = parts
	}
	if c.Under(c.Key("a"), "b") != c.Key("a", "b") {
		t.Error("Under() differs from Key() of all parts")
	}
	if newTable().Key("a") == c.Key("a") {
		t.Error("two tables have one seed")
	}
}

func TestRulesCountApart(t *testing.T) {
	t.Parallel()
	c := newTable()
	one := func(p Period, sliding bool) *Rule {
		r := &Rule{Sliding: sliding}
		r.Quotas[p] = 1
		return r
	}
	for p := range NumPeriods {
		for _, sliding := range []bool{false, true} {
			if !c.Take(1, one(p, sliding), noon).OK {
				t.Errorf("the count of another period or kind of rule is that of %v, sliding %v", p, sliding)
			}
		}
	}
}

// TestTwelveMillionFit states the budget: 12 million devices with a quota an hour take
// 420 MB, 35 bytes each. It fills a table of a 120th of that.
func TestTwelveMillionFit(t *testing.T) {
	t.Parallel()
	const devices, budget, part = 12_000_000, 420_000_000, 120
	if CounterSize > 24 || unsafe.Sizeof(group{}) != 128 {
		t.Errorf("a counter takes %d bytes", CounterSize)
	}
	c := NewCounters(budget / part)
	if got := c.Stats().Bytes; got > budget/part || got < budget/part*99/100 {
		t.Errorf("a table of %d bytes takes %d", budget/part, got)
	}
	r := &Rule{Quotas: Quotas{Hour: 2}}
	scope := c.Key("route")
	for range 2 {
		for i := range devices / part {
			if !c.Take(c.Under(scope, fmt.Sprint("device-", i)), r, noon).OK {
				t.Fatalf("device %d was refused below its quota", i)
			}
		}
	}
	if evicted := c.Stats().Evicted; evicted > devices/part/10_000 {
		t.Errorf("%d of %d devices were forgotten", evicted, devices/part)
	}
	before := c.Stats().Evicted
	for i := range devices / part { // other devices, an hour later
		c.Take(c.Under(scope, fmt.Sprint("other-", i)), r, noon.Add(time.Hour))
	}
	if evicted := c.Stats().Evicted - before; evicted > devices/part/10_000 {
		t.Errorf("%d counters gave way to ones of the next hour: those of the last did not make room", evicted)
	}
}

// TestCountersFlood fills a small table with new keys: none of them is refused, and
// who was counted often stays counted.
func TestCountersFlood(t *testing.T) {
	t.Parallel()
	c := NewCounters(0)
	r := &Rule{Quotas: Quotas{Minute: 20, Hour: 20}}
	busy := c.Key("busy")
	for range 20 {
		c.Take(busy, r, noon)
	}
	const flood = 50_000
	for i := range flood {
		if !c.Take(c.Key("new", fmt.Sprint(i)), r, noon).OK {
			t.Fatal("a new key was refused because the table is full")
		}
	}
	if c.Take(busy, r, noon).OK {
		t.Error("the flood displaced a key over its quota")
	}
	if s := c.Stats(); s.Evicted < flood || s.Bytes != shards*groupBytes {
		t.Errorf("Stats() = %+v", s)
	}
}

// TestPlaceSparesTheEvent fills both groups in reach: six periods of one key still
// have a counter each.
func TestPlaceSparesTheEvent(t *testing.T) {
	t.Parallel()
	c := NewCounters(0) // one group per shard
	r := &Rule{Quotas: Quotas{9, 9, 9, 9, 9, 9}}
	for i := range 100 {
		c.Take(Key(i*shards), r, noon)
	}
	last := Key(100 * shards)
	c.Take(last, r, noon)
	for p, w := range c.Take(last, r, noon).Windows {
		if w.Remaining != 7 {
			t.Errorf("%v: %d remaining after two events of nine", Period(p), w.Remaining)
		}
	}
}

func TestTakeDoesNotAllocate(t *testing.T) {
	c := newTable()
	r := &Rule{Quotas: Quotas{1e6, 1e6, 1e6, 1e6, 1e6, 1e6}, Sliding: true}
	scope := c.Key("route", "service")
	if got := testing.AllocsPerRun(1000, func() {
		k := c.Under(scope, "some identity of a usual length")
		c.Take(k, r, noon)
		c.Return(k, r, noon)
	}); got != 0 {
		t.Errorf("%v allocations per event, want none", got)
	}
}

func BenchmarkCounters(b *testing.B) {
	for name, r := range map[string]*Rule{
		"hour":                 {Quotas: Quotas{Hour: MaxN}},
		"minute and hour":      {Quotas: Quotas{Minute: MaxN, Hour: MaxN}},
		"sliding, all six":     {Quotas: Quotas{MaxN, MaxN, MaxN, MaxN, MaxN, MaxN}, Sliding: true},
		"hour, a million keys": {Quotas: Quotas{Hour: MaxN}},
	} {
		b.Run(name, func(b *testing.B) {
			c, keys := NewCounters(64<<20), 1
			if name == "hour, a million keys" {
				keys = 1_000_000
			}
			scope := c.Key("route", "service")
			identity := []byte("mobilev2-dev.sunbird.app-000000000-1591600000000")
			take := func(i int) {
				binary.LittleEndian.PutUint32(identity[25:], uint32(i%keys))
				c.Take(c.Under(scope, unsafe.String(&identity[0], len(identity))), r, noon)
			}
			for i := range keys {
				take(i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				take(i)
			}
		})
	}
}

// TestCountersTakeMemoryInUse shows that a table of which nothing is used weighs nothing.
func TestCountersTakeMemoryInUse(t *testing.T) {
	t.Parallel()
	c := NewCounters(1 << 20)
	inUse := func() (n int) {
		for i := range c.shards {
			if c.shards[i].groups != nil {
				n++
			}
		}
		return n
	}
	whole := c.Stats()
	if n := inUse(); n != 0 || whole.Bytes < 1<<19 {
		t.Errorf("%d parts of %d bytes are in use before anything is counted", n, whole.Bytes)
	}
	rule, now := &Rule{Quotas: Quotas{Minute: 1}}, time.Unix(1_900_000_000, 0)
	first, second := c.Take(c.Key("a"), rule, now), c.Take(c.Key("a"), rule, now)
	if !first.OK || second.OK {
		t.Errorf("one a minute: the first is let in %v, the second %v", first.OK, second.OK)
	}
	if n := inUse(); n != 1 || c.Stats() != whole {
		t.Errorf("%d parts are in use by one key; %+v, before %+v", n, c.Stats(), whole)
	}
}
