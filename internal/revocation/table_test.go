package revocation

import (
	"runtime"
	"strconv"
	"testing"
	"time"
)

// TestShrinks: the memory of what has expired is given back.
func TestShrinks(t *testing.T) {
	t.Parallel()
	tab := newTable()
	const n = 20_000
	for i := range n {
		e := Entry{Target: Target{Kind: ByToken, Name: strconv.Itoa(i)}, Expires: noon.Add(time.Second)}
		if i%100 == 0 {
			e.Expires = time.Time{}
		}
		tab.apply(&e, noon)
	}
	for i := range numShards {
		tab.expire(i, noon.Add(time.Second))
	}
	if tab.size() != n/100 {
		t.Errorf("%d entries are left, want %d", tab.size(), n/100)
	}
	for i := range numShards {
		if s := &tab.shards[ByToken][i]; s.most != len(s.marks) {
			t.Fatalf("a part of %d entries has the memory of %d", len(s.marks), s.most)
		}
	}
	for i := range n {
		if _, ok := tab.find(ByToken, "", strconv.Itoa(i)); ok != (i%100 == 0) {
			t.Fatalf("entry %d is there: %t", i, ok)
		}
	}
}

func TestChecksDoNotAllocate(t *testing.T) {
	f := open(t)
	for _, target := range targets {
		f.add(t, Draft{Target: Target{target.Kind, target.Issuer, target.Name + "!"}})
	}
	token := sample()
	if n := testing.AllocsPerRun(100, func() { f.Revoked(token) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// BenchmarkRevoked is the check of a token that is good.
func BenchmarkRevoked(b *testing.B) {
	for name, n := range map[string]int{"empty": 0, "million": 1_000_000} {
		b.Run(name, func(b *testing.B) {
			l := New(Config{Store: &memory{}})
			tab := l.table.Load()
			for i := range n {
				k := Kind(i)%(numKinds-1) + 1
				tab.apply(&Entry{Target: Target{Kind: k, Name: strconv.Itoa(i)}, Before: noon}, noon)
			}
			token := sample()
			b.ReportAllocs()
			for b.Loop() {
				if l.Revoked(token) {
					b.Fatal("revoked")
				}
			}
		})
	}
}

// BenchmarkMillion is what a million token ids take.
func BenchmarkMillion(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		tab := newTable()
		e := Entry{Target: Target{Kind: ByToken}}
		for i := range n {
			e.Name = "53MHDQAQCPCMLSKRM23UF" + strconv.Itoa(i)
			tab.apply(&e, noon)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/entry")
		runtime.KeepAlive(tab)
	}
}
