package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestClock compares a machine's clock with that of a store which takes its time.
func TestClock(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		there time.Duration // by how much the store's clock is ahead
		ask   time.Duration // how long the question takes to get there, as does the answer
		wrong time.Duration // by how much the time may be wrong then
		told  bool
	}{
		"the same clock":                    {0, time.Millisecond, 0, false},
		"as near as the question takes":     {time.Millisecond, time.Millisecond, time.Millisecond, false},
		"a little apart":                    {20 * time.Millisecond, time.Millisecond, 0, false},
		"minutes ahead":                     {3 * time.Minute, time.Millisecond, 0, true},
		"minutes behind":                    {-3 * time.Minute, time.Millisecond, 0, true},
		"apart, and the store is slow":      {3 * time.Minute, 2 * time.Second, 0, true},
		"the same, and the store is slow":   {0, 2 * time.Second, 0, false},
		"less apart than the question took": {time.Second, 2 * time.Second, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				c := newClock(nil)
				ask := func(context.Context) (time.Time, error) {
					pause(t.Context(), tc.ask)
					now := time.Now().Add(tc.there)
					pause(t.Context(), tc.ask)
					return now, nil
				}
				for range 2 { // what is right stays
					if err := c.compare(t.Context(), ask, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
						t.Fatal(err)
					}
					if wrong := c.now().Sub(time.Now().Add(tc.there)).Abs(); wrong != tc.wrong {
						t.Errorf("the time is wrong by %v, want %v", wrong, tc.wrong)
					}
				}
				if got := strings.Count(log.String(), "clock differs"); (got == 1) != tc.told || got > 1 {
					t.Errorf("the log tells %d times: %s", got, &log)
				}
			})
		})
	}
}

// TestClockGoesOn: while the store does not answer, its clock is where it was.
func TestClockGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, log := newClock(nil), slog.New(slog.DiscardHandler)
		err := c.compare(t.Context(), func(context.Context) (time.Time, error) { return time.Now().Add(time.Hour), nil }, log)
		if err != nil {
			t.Fatal(err)
		}
		away := errors.New("away")
		if err := c.compare(t.Context(), func(context.Context) (time.Time, error) { return time.Time{}, away }, log); !errors.Is(err, away) {
			t.Errorf("error = %v", err)
		}
		pause(t.Context(), time.Minute)
		if got := time.Until(c.now()); got != time.Hour {
			t.Errorf("the time is ahead by %v, want 1h", got)
		}
		back := func(context.Context) (time.Time, error) { return time.Now(), nil }
		if err := c.compare(t.Context(), back, log); err != nil || !c.now().Equal(time.Now()) {
			t.Errorf("the clocks agree again, and the time is ahead by %v (%v)", time.Until(c.now()), err)
		}
	})
}
