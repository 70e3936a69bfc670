package server

import (
	"context"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

func TestIdleHeap(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	for name, tc := range map[string]struct {
		now  heap
		want bool
	}{
		"much garbage":              {heap{7, 80 * mb, 91 * mb}, true},
		"little garbage":            {heap{7, 80 * mb, 89 * mb}, false},
		"under load":                {heap{8, 80 * mb, 150 * mb}, false},
		"little is live":            {heap{7, 5 * mb, 10 * mb}, true},
		"little of either":          {heap{7, 5 * mb, 8 * mb}, false},
		"freed since it was looked": {heap{7, 80 * mb, 70 * mb}, false},
	} {
		if got := tc.now.idle(heap{cycles: 7}); got != tc.want {
			t.Errorf("%s: idle() = %t, want %t", name, got, tc.want)
		}
	}
}

// TestTidyCollects where nothing else does: so it is not parallel.
func TestTidyCollects(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- tidy(ctx) }()
		synctest.Wait()
		before := weigh()
		garbage = make([]byte, 2*quietGarbage+before.live)
		garbage = nil
		if full := weigh(); full.cycles != before.cycles || full.held <= before.held {
			t.Errorf("weigh() = %+v with garbage, %+v before", full, before)
		}
		time.Sleep(2 * quietEvery)
		if after := weigh(); after.cycles == before.cycles || after.held >= before.held+quietGarbage {
			t.Errorf("weigh() = %+v, %+v before: nothing was collected", after, before)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("tidy() = %v", err)
		}
	})
}

// garbage is where the compiler cannot leave out what is made.
var garbage []byte
