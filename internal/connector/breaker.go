package connector

import (
	"sync"
	"time"
)

// When a breaker opens, and for how long.
const (
	tripAfter   = 5 // failures in a row
	tripCalls   = 20
	tripWindow  = 30 * time.Second // in which more than half of tripCalls or more fail
	firstOpen   = 5 * time.Second
	longestOpen = time.Minute
)

// breaker keeps calls from an API that fails. Open, it lets none pass; then one, on which
// it depends whether it closes or opens again, for twice as long. The zero breaker is closed.
type breaker struct {
	mu      sync.Mutex
	row     int // failures since the last success
	window  [tripWindow / time.Second]tally
	until   time.Time     // open before that; zero: closed
	open    time.Duration // how long it was opened the last time
	probing bool
	round   int // grows with each change: what was let pass before does not count
}

// tally counts the calls of one second.
type tally struct{ second, calls, failures int64 }

// outcome of a call, as far as a breaker cares.
type outcome int

const (
	neither outcome = iota // nobody was called, or the caller left
	good
	bad
)

// allow lets a call pass, which must be reported with the round; or tells how long to wait.
func (b *breaker) allow(now time.Time) (round int, wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.until.IsZero():
		return b.round, 0, true
	case now.Before(b.until):
		return 0, b.until.Sub(now), false
	case b.probing:
		return 0, time.Second, false
	}
	b.probing = true
	return b.round, 0, true
}

func (b *breaker) report(round int, now time.Time, o outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case round != b.round:
	case b.probing && o == neither:
		b.probing = false
	case b.probing && o == good:
		b.until, b.open, b.probing = time.Time{}, 0, false
		b.round++
	case b.probing:
		b.trip(now)
	case o != neither:
		b.count(now, o == bad)
		if b.row >= tripAfter || b.failing(now) {
			b.trip(now)
		}
	}
}

// isOpen tells whether calls are kept away, but for the one that may close it.
func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.until.IsZero()
}

func (b *breaker) trip(now time.Time) {
	b.open = min(max(2*b.open, firstOpen), longestOpen)
	b.until, b.probing, b.row, b.window = now.Add(b.open), false, 0, [len(b.window)]tally{}
	b.round++
}

func (b *breaker) count(now time.Time, failed bool) {
	t := &b.window[now.Unix()%int64(len(b.window))]
	if t.second != now.Unix() {
		*t = tally{second: now.Unix()}
	}
	t.calls++
	b.row++
	if !failed {
		b.row = 0
		return
	}
	t.failures++
}

// failing tells whether too large a part of the last calls failed.
func (b *breaker) failing(now time.Time) bool {
	var calls, failures int64
	for _, t := range b.window {
		if now.Unix()-t.second < int64(len(b.window)) {
			calls, failures = calls+t.calls, failures+t.failures
		}
	}
	return calls >= tripCalls && 2*failures > calls
}
