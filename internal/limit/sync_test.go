package limit

import (
	"context"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// run keeps nodes telling one another until the end of the test's bubble.
func run(t *testing.T, nodes ...*Shared) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, s := range nodes {
		wg.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Errorf("Run() = %v", err)
			}
		})
	}
	synctest.Wait()
	return func() {
		cancel()
		wg.Wait()
	}
}

func takeSynced(s *Shared, id string, r *Rule, n int) (passed int) {
	for range n {
		if s.TakeSynced(NewID(id), r, time.Now(), time.Second).OK {
			passed++
		}
	}
	return passed
}

// TestTakeSynced has two nodes learn of each other every second.
func TestTakeSynced(t *testing.T) {
	t.Parallel()
	for _, sliding := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			a, b := m.node(nil), m.node(nil)
			defer run(t, a, b)()
			r := &Rule{Quotas: Quotas{Minute: 10, Hour: 100}, Sliding: sliding}
			asked := m.times()
			if x, y := takeSynced(a, "x", r, 4), takeSynced(b, "x", r, 5); x != 4 || y != 5 || m.times() != asked {
				t.Errorf("%d and %d passed, want 4 and 5; asked %d times", x, y, m.times()-asked)
			}
			time.Sleep(1100 * time.Millisecond)
			// The one that told first has not heard of the other one's since.
			takeSynced(a, "x", r, 1)
			takeSynced(b, "x", r, 1)
			time.Sleep(1100 * time.Millisecond)
			if x, y := takeSynced(a, "x", r, 20), takeSynced(b, "x", r, 20); x+y != 0 {
				t.Errorf("%d and %d more passed, want none of 10 after 4, 5, 1 and 1", x, y)
			}
			if u := a.TakeSynced(NewID("x"), r, time.Now(), time.Second); u.Windows[Hour].Remaining > 90 {
				t.Errorf("%d remain of the hour, want at most 90", u.Windows[Hour].Remaining)
			}
			time.Sleep(time.Minute)
			if !sliding && takeSynced(b, "x", r, 20) != 10 {
				t.Error("the minute that follows does not begin anew")
			}
		})
	}
}

// TestSyncedBound has three nodes take all they can: what is over the quota is what passed
// before they heard of each other.
func TestSyncedBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		nodes := []*Shared{m.node(nil), m.node(nil), m.node(nil)}
		defer run(t, nodes...)()
		r := &Rule{Quotas: Quotas{Hour: 300}}
		const each = 10 // in 100 ms
		passed := 0
		for range 100 {
			for _, s := range nodes {
				passed += takeSynced(s, "x", r, each)
			}
			time.Sleep(100 * time.Millisecond)
		}
		// What three nodes let pass in two seconds.
		if most := 300 + 3*20*each; passed < 300 || passed > most {
			t.Errorf("%d passed, want 300 to %d", passed, most)
		}
		if passed == 300 {
			t.Error("nothing passed over the quota: nothing is shown")
		}
	})
}

// TestSyncedAway keeps what is to be told while the remote is away, and no longer than it
// is of use.
func TestSyncedAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		a, b := m.node(nil), m.node(nil)
		stop := run(t, a, b)
		r := &Rule{Quotas: Quotas{Second: 100, Hour: 100}}
		m.set(func(m *memory) { m.err = errRefused })
		takeSynced(a, "lost", r, 3) // told to nobody: it may have been heard
		time.Sleep(1500 * time.Millisecond)
		takeSynced(a, "x", r, 5)
		time.Sleep(10 * time.Second)
		for _, m := range a.untold.marks(time.Second) {
			if m.Period == Second {
				t.Error("a second that is over is still to be told")
			}
		}
		if got := takeSynced(a, "x", r, 200); got != 95 {
			t.Errorf("%d passed alone, want the 95 that are left", got)
		}
		m.set(func(m *memory) { m.err = nil })
		time.Sleep(3 * time.Second)
		takeSynced(b, "x", r, 1)
		time.Sleep(2 * time.Second)
		if got := takeSynced(b, "x", r, 200); got != 0 {
			t.Errorf("%d passed on the other node, want none", got)
		}
		stop()
		if left := a.untold.marks(time.Second); len(left) > 0 || len(a.untold.due) > 0 {
			t.Errorf("left: %v, %v", left, a.untold.due)
		}
	})
}

// TestSyncedStop tells on the way out what it has not told.
func TestSyncedStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		a := m.node(nil)
		stop := run(t, a)
		takeSynced(a, "x", &Rule{Quotas: Quotas{Hour: 100}}, 7)
		stop()
		var sum uint32
		for _, c := range m.sums {
			sum += c.N
		}
		if sum != 7 {
			t.Errorf("%d are known, want 7", sum)
		}
	})
}

// TestSyncedClock counts by the remote's clock as soon as that is known.
func TestSyncedClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.ahead, m.err = 30*time.Second, errRefused
		a := m.node(nil)
		defer run(t, a)()
		time.Sleep(pause)
		m.set(func(m *memory) { m.err = nil })
		time.Sleep(3 * pause)
		u := a.TakeSynced(NewID("x"), perMinute(5), time.Now(), time.Second)
		now := time.Now().Add(m.ahead)
		if want := now.Truncate(time.Minute).Add(time.Minute).Sub(now); u.Windows[Minute].Reset != want {
			t.Errorf("the window ends in %s, want %s", u.Windows[Minute].Reset, want)
		}
	})
}

func TestLearn(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)
	hour := uint32(at.Truncate(time.Hour).Add(time.Hour).Unix())
	for name, tc := range map[string]struct {
		had  uint32
		all  Count
		want int // used of 100 after 5
	}{
		"others have counted":    {5, Count{Until: hour, N: 25}, 25},
		"this one since":         {3, Count{Until: hour, N: 25}, 27},
		"nobody else":            {5, Count{Until: hour, N: 5}, 5},
		"it was forgotten":       {5, Count{Until: hour, N: 1}, 5},
		"a window later":         {5, Count{Until: hour + 3600, N: 50}, 5},
		"more than there can be": {5, Count{Until: hour, N: math.MaxUint32}, 100},
	} {
		c := newTable()
		k := c.Key("x")
		r := &Rule{Quotas: Quotas{Hour: 100}}
		for range 5 {
			c.Take(k, r, at)
		}
		m := Mark{Period: Hour, Until: hour}
		if n := c.stand(k, &m); n != 5 {
			t.Errorf("stand() = %d, want 5", n)
		}
		c.learn(k, &m, tc.had, tc.all)
		u := c.Take(k, r, at)
		if got := 100 - u.Windows[Hour].Remaining; got != min(tc.want+1, 100) {
			t.Errorf("%s: %d used, want %d", name, got, min(tc.want+1, 100))
		}
		other := Mark{Period: Hour, Until: hour + 3600}
		if n := c.stand(k, &other); n != 0 {
			t.Errorf("%s: stand() of another window = %d", name, n)
		}
	}
}
