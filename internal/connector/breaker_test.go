package connector

import (
	"math/rand/v2"
	"testing"
	"time"
)

// run has the breaker see calls: g good, b bad, n neither, . a second passes; and X must
// be kept back, each with what was let pass.
func run(t *testing.T, b *breaker, now *time.Time, script string) {
	t.Helper()
	for i, c := range script {
		if c == '.' {
			*now = now.Add(time.Second)
			continue
		}
		round, wait, ok := b.allow(*now)
		if ok == (c == 'X') || ok != (wait == 0) {
			t.Fatalf("%s: call %d (%c): let pass: %t, wait %v", script, i, c, ok, wait)
		}
		if ok {
			b.report(round, *now, map[rune]outcome{'g': good, 'b': bad, 'n': neither}[c])
		}
	}
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	const tenGood, tenBad = "gggggggggg", "gbgbgbgbgbgbgbgbgbgb"
	for name, script := range map[string]string{
		"closed":           tenGood + "bbbbgbbbbgnnnnnnnng",
		"five in a row":    "bbbbbXX....X.gbbbb",
		"neither between":  "bbnnbbnbX",
		"probe fails":      "bbbbb.....bX.........X.g",
		"doubles to 60":    "bbbbb.....b..........b....................b........................................b" + "...........................................................X.bX" + "...........................................................X.g",
		"closing forgets":  "bbbbb.....b..........gbbbbbX....X.g",
		"probe of neither": "bbbbb.....ng",
		"half of many":     tenBad + tenBad,
		"more than half":   "gbgbgbgbgbgbgbgbgbbbX",
		"few calls":        "gbbgbbgbbgbbgbbgbbg",
		"seen again later": "gbbbgbbbgbbbgbbb..............................gbbbg",
		"not yet thirty":   "gbbbgbbbgbbbgbbb.............................gbbbX",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
			run(t, &breaker{}, &now, script)
		})
	}
}

func TestBreakerProbesOnce(t *testing.T) {
	t.Parallel()
	b, now := &breaker{}, time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	late, _, _ := b.allow(now)
	run(t, b, &now, "bbbbbX.....")
	probe, _, ok := b.allow(now)
	if _, wait, second := b.allow(now); !ok || second || wait != time.Second {
		t.Errorf("probe: %t; a second one at once: %t, after %v", ok, second, wait)
	}
	b.report(late, now, good) // of a call from before it opened
	if _, _, ok := b.allow(now); ok {
		t.Error("a late success closed the breaker")
	}
	b.report(probe, now, good)
	if _, _, ok := b.allow(now); !ok {
		t.Error("the probe's success did not close the breaker")
	}
}

// TestBreakerAlwaysRecovers: whatever happened, an API that works is called within the
// longest time that a breaker is open.
func TestBreakerAlwaysRecovers(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	for range 500 {
		b, now := &breaker{}, time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
		for range r.IntN(300) {
			if round, _, ok := b.allow(now); ok {
				b.report(round, now, outcome(r.IntN(3)))
			}
			now = now.Add(time.Duration(r.IntN(2000)) * time.Millisecond)
		}
		now = now.Add(longestOpen)
		round, _, ok := b.allow(now)
		b.report(round, now, good)
		if _, _, again := b.allow(now); !ok || !again {
			t.Fatalf("not called again: %t, %t", ok, again)
		}
	}
}
