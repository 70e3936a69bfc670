package limit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memory is what nodes share in place of Redis, with a clock of its own.
type memory struct {
	ahead time.Duration // of the nodes' clocks

	mu       sync.Mutex
	counters *Counters
	sums     map[Mark]Count
	err      error
	hangs    bool
	asked    int
}

func newMemory() *memory {
	return &memory{counters: newTable(), sums: map[Mark]Count{}}
}

var errRefused = errors.New("connection refused")

func (m *memory) set(f func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}

func (m *memory) times() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

// enter is how it answers, whatever is asked.
func (m *memory) enter(ctx context.Context) error {
	m.asked++
	if m.hangs {
		m.mu.Unlock()
		<-ctx.Done()
		m.mu.Lock()
		return ctx.Err()
	}
	return m.err
}

func (m *memory) Take(ctx context.Context, id ID, r *Rule) (Usage, time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.enter(ctx); err != nil {
		return Usage{}, time.Time{}, err
	}
	at := time.Now().Add(m.ahead)
	return m.counters.Take(m.counters.Key(string(id[:])), r, at), at, nil
}

func (m *memory) Add(ctx context.Context, deltas []Delta) ([]Count, time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.enter(ctx); err != nil {
		return nil, time.Time{}, err
	}
	all := make([]Count, len(deltas))
	for i, d := range deltas {
		c := m.sums[d.Mark]
		c.Until, c.N = d.Until, c.N+d.N
		m.sums[d.Mark], all[i] = c, c
	}
	return all, time.Now().Add(m.ahead), nil
}

func (m *memory) node(log *bytes.Buffer) *Shared {
	c := SharedConfig{Remote: m, Bytes: 1 << 20}
	if log != nil {
		c.Log = slog.New(slog.NewTextHandler(log, nil))
	}
	return NewShared(c)
}

// take counts n events on a node and says how many passed, and how many by the node alone.
func take(t *testing.T, s *Shared, id string, r *Rule, n int) (passed, alone int) {
	t.Helper()
	for range n {
		u, err := s.Take(t.Context(), NewID(id), r, time.Now())
		if u.OK {
			passed++
		}
		if err != nil {
			alone++
		}
		if err != nil && !errors.Is(err, ErrAlone) {
			t.Errorf("Take() error = %v", err)
		}
	}
	return passed, alone
}

func TestSharedTake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		a, b := m.node(nil), m.node(nil)
		r := &Rule{Quotas: Quotas{Minute: 5, Hour: 7}}
		for i, want := range []int{3, 2, 0} {
			if got, alone := take(t, []*Shared{a, b, a}[i], "x", r, 3); got != want || alone != 0 {
				t.Errorf("%d: %d passed, want %d; %d alone", i, got, want, alone)
			}
		}
		if got, _ := take(t, b, "y", r, 9); got != 5 {
			t.Errorf("another: %d passed, want 5", got)
		}
		time.Sleep(time.Minute)
		if got, _ := take(t, a, "x", r, 9); got != 2 {
			t.Errorf("%d passed in the next minute, want the 2 that the hour has left", got)
		}
		if s := a.Stats(); !s.Up || s.Alone != 0 || s.Counters.Bytes == 0 {
			t.Errorf("Stats() = %+v", s)
		}
	})
}

// TestSharedAway loses the remote in the middle of a window. Each node lets the quota pass,
// its own share of the window included, and says so once.
func TestSharedAway(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*memory){
		"refused": func(m *memory) { m.err = errRefused },
		"hangs":   func(m *memory) { m.hangs = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				m := newMemory()
				a, b := m.node(&log), m.node(nil)
				r := &Rule{Quotas: Quotas{Hour: 10}}
				take(t, a, "x", r, 4)
				take(t, b, "x", r, 3)
				m.set(fail)
				began := time.Now()
				if got, alone := take(t, a, "x", r, 20); got != 6 || alone != 20 {
					t.Errorf("%d passed, want the 6 that the first node has left of 10; %d alone", got, alone)
				}
				if took := time.Since(began); took > doubt+2*patience {
					t.Errorf("20 events took %s", took)
				}
				time.Sleep(doubt)
				take(t, a, "z", r, 1)
				before := m.times()
				if take(t, a, "z", r, 20); m.times() != before {
					t.Errorf("it is asked %d times while it is away", m.times()-before)
				}
				if got, _ := take(t, b, "x", r, 20); got != 7 {
					t.Errorf("%d passed, want the 7 that the second node has left of 10", got)
				}
				if s := a.Stats(); s.Up || s.Alone != 41 {
					t.Errorf("Stats() = %+v", s)
				}
				for range 3 { // one asks in each pause
					time.Sleep(pause)
					before = m.times()
					take(t, a, "y", r, 5)
					if m.times() != before+1 {
						t.Errorf("asked %d times", m.times()-before)
					}
				}
				m.set(func(m *memory) { m.err, m.hangs = nil, false })
				time.Sleep(pause)
				if got, alone := take(t, a, "x", r, 9); got != 3 || alone != 0 {
					t.Errorf("%d passed, want the 3 that both together had left; %d alone", got, alone)
				}
				if down, up := strings.Count(log.String(), "counts by itself"), strings.Count(log.String(), "together again"); down != 1 || up != 1 {
					t.Errorf("told %d times that it is away, %d that it is back:\n%s", down, up, &log)
				}
			})
		})
	}
}

// TestSharedLate is late for once, which is no reason to count alone.
func TestSharedLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := newMemory()
		s := m.node(&log)
		for range 10 {
			m.set(func(m *memory) { m.hangs = true })
			_, alone := take(t, s, "x", perMinute(100), 3)
			m.set(func(m *memory) { m.hangs = false })
			if _, more := take(t, s, "x", perMinute(100), 1); alone != 3 || more != 0 {
				t.Errorf("%d of 3 and %d of 1 were counted alone", alone, more)
			}
		}
		if !s.Stats().Up || log.Len() > 0 {
			t.Errorf("it is taken to be away: %s", &log)
		}
	})
}

// TestSharedCallerLeaves does not take a client that hangs up for a remote that does.
func TestSharedCallerLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.hangs = true
		s := m.node(nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Take(ctx, NewID("x"), perMinute(1), time.Now()); !errors.Is(err, ErrAlone) {
			t.Errorf("Take() error = %v, want ErrAlone", err)
		}
		if !s.Stats().Up {
			t.Error("the remote is taken to be away")
		}
	})
}

// TestSharedCrowd has more wait at once than may: the others are counted here, and nobody
// waits longer.
func TestSharedCrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.hangs = true
		s := m.node(nil)
		began := time.Now()
		var wg sync.WaitGroup
		for range 2 * maxAsking {
			wg.Go(func() { take(t, s, "x", perMinute(5), 1) })
		}
		wg.Wait()
		if m.times() > maxAsking || time.Since(began) > patience {
			t.Errorf("%d asked at once, for %s", m.times(), time.Since(began))
		}
		if s.asking.Load() != 0 {
			t.Errorf("%d are still asking", s.asking.Load())
		}
	})
}

// TestSharedClock has nodes whose clocks are minutes off: what counts is the remote's.
func TestSharedClock(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{-10 * time.Minute, -20 * time.Second, 0, 45 * time.Second, 10 * time.Minute} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				m.ahead = ahead
				s := m.node(nil)
				r := perMinute(3)
				if got, _ := take(t, s, "x", r, 2); got != 2 {
					t.Fatalf("%d passed, want 2", got)
				}
				m.set(func(m *memory) { m.err = errRefused })
				if got, _ := take(t, s, "x", r, 5); got != 1 {
					t.Errorf("%d passed alone, want 1", got)
				}
				now := time.Now().Add(ahead)
				left := now.Truncate(time.Minute).Add(time.Minute).Sub(now)
				if u, _ := s.Take(t.Context(), NewID("x"), r, time.Now()); u.Windows[Minute].Reset != left {
					t.Errorf("the window ends in %s, want %s", u.Windows[Minute].Reset, left)
				}
				time.Sleep(left)
				if got, _ := take(t, s, "x", r, 5); got != 3 {
					t.Errorf("%d passed in the window that follows, want 3", got)
				}
			})
		})
	}
}

func TestID(t *testing.T) {
	t.Parallel()
	seen := map[ID]string{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"b", "a"}, {"ab", ""}, {"", "ab"}, {strings.Repeat("x", 300)}, {strings.Repeat("x", 299), "x"}} {
		id := NewID(parts...)
		if other, has := seen[id]; has {
			t.Errorf("%q has the ID of %s", parts, other)
		}
		seen[id] = fmt.Sprintf("%q", parts)
		if id != NewID(parts...) {
			t.Errorf("%q has two IDs", parts)
		}
	}
	if got, want := fmt.Sprintf("%x", NewID("a", "b")), "fa4a350f5906021e27b2caf19409319e"; got != want {
		t.Errorf("NewID() = %s, want %s: nodes of two versions must agree", got, want)
	}
}

func TestIDAllocatesNothing(t *testing.T) { // alone: others allocate
	if n := testing.AllocsPerRun(100, func() { NewID("route", "service", "", "device", "consumer", "name") }); n != 0 {
		t.Errorf("NewID() allocates %v times", n)
	}
}
