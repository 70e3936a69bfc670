package limit

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"
)

// marks are those that are to be told each every.
func (u *untold) marks(every time.Duration) (all []Mark) {
	for i := range u.parts {
		p := &u.parts[i]
		p.mu.Lock()
		for m := range p.counts[every] {
			all = append(all, m)
		}
		p.mu.Unlock()
	}
	return all
}

// numbered is an ID and a key of a number.
func numbered(i int) (ID, Key) {
	var id ID
	binary.BigEndian.PutUint64(id[:], uint64(i))
	return id, Key(mix(uint64(i)))
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func atEpoch() time.Time { return epoch }

// TestUntoldMemory bounds what waits.
func TestUntoldMemory(t *testing.T) {
	t.Parallel()
	u := newUntold(atEpoch)
	r := &Rule{Quotas: Quotas{Hour: 5, Day: 5}}
	for i := range maxMarks * 3 / 4 { // of two windows each
		id, k := numbered(i)
		u.note(k, id, r, epoch.UnixNano(), time.Second)
	}
	if n := len(u.marks(time.Second)); n != maxMarks {
		t.Errorf("%d wait, want %d", n, maxMarks)
	}
	id, k := numbered(0) // it is counted on
	u.note(k, id, r, epoch.UnixNano(), time.Second)
	const most = maxMarks / 8
	take := func() []Delta { return u.take(epoch.Add(time.Second), epoch.Unix(), most) }
	var told uint32
	for deltas := take(); len(deltas) > 0; deltas = take() {
		if len(deltas) > most {
			t.Fatalf("%d at once", len(deltas))
		}
		for _, d := range deltas {
			told += d.N
		}
	}
	if told != maxMarks+2 {
		t.Errorf("told of %d, want %d", told, maxMarks+2)
	}
}

// TestUntoldDue tells what is told seldom no sooner for what is told often.
func TestUntoldDue(t *testing.T) {
	t.Parallel()
	now := epoch
	u := newUntold(func() time.Time { return now })
	r := &Rule{Quotas: Quotas{Hour: 100}}
	put := func(i int, every time.Duration) {
		id, k := numbered(i)
		u.note(k, id, r, now.UnixNano(), every)
	}
	check := func(when string, most, want int, next time.Duration) {
		t.Helper()
		if got := len(u.take(now, now.Unix(), most)); got != want {
			t.Errorf("%s: told of %d windows, want %d", when, got, want)
		}
		due, ok := u.next()
		if ok != (next > 0) || ok && !due.Equal(epoch.Add(next)) {
			t.Errorf("%s: next is in %v, %t; want %v", when, due.Sub(epoch), ok, next)
		}
	}
	check("empty", 9, 0, 0)
	put(1, time.Second)
	put(2, time.Minute)
	now = epoch.Add(time.Second - 1)
	put(3, time.Second) // in another part, and with the first
	check("before", 9, 0, time.Second)
	now = epoch.Add(time.Second)
	check("but not now", 0, 0, time.Second)
	check("one of two", 1, 1, time.Second)
	check("the other", 9, 1, time.Minute)
	put(1, time.Second)
	check("anew", 9, 0, 2*time.Second)
	now = epoch.Add(time.Hour)
	check("of no more use", 9, 0, 0)
}

// TestUntoldUnderConcurrency tells of each event once, whoever notes and takes at a time.
func TestUntoldUnderConcurrency(t *testing.T) {
	t.Parallel()
	u := newUntold(atEpoch)
	r := &Rule{Quotas: Quotas{Hour: 1 << 20}}
	const goroutines, each = 4, 2000
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := range each {
				id, k := numbered(i % 100)
				u.note(k, id, r, epoch.UnixNano(), time.Duration(1+i%3)*time.Second)
			}
		})
	}
	noted := make(chan struct{})
	go func() { wg.Wait(); close(noted) }()
	var told uint32
	for last := false; ; {
		deltas := u.take(epoch.Add(time.Hour), epoch.Unix(), 10)
		for _, d := range deltas {
			told += d.N
		}
		if last && len(deltas) == 0 {
			break
		}
		select {
		case <-noted:
			last = true
		default:
		}
	}
	if told != goroutines*each {
		t.Errorf("told of %d events, want %d", told, goroutines*each)
	}
}

// BenchmarkTakeSynced has many callers counted, who share nothing. Run it with -cpu 16.
func BenchmarkTakeSynced(b *testing.B) {
	s := NewShared(SharedConfig{Remote: newMemory(), Bytes: 1 << 20})
	r := &Rule{Quotas: Quotas{Hour: MaxN}}
	now := time.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			id, _ := numbered(i % 1000)
			s.TakeSynced(id, r, now, time.Second)
		}
	})
}
