package user

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/carnetproject/carnet/internal/fault"
)

func TestHasherRunsOnePerCore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(cheap)
		cores := runtime.NumCPU()
		release := make(chan struct{})
		var running, refused, done atomic.Int64
		callers := cores*(1+waitingPerSlot) + 5
		for range callers {
			go func() {
				err := h.run(t.Context(), func() { running.Add(1); <-release; running.Add(-1) })
				switch {
				case err == nil:
					done.Add(1)
				case fault.Public(err).RetryAfter > 0 && fault.KindOf(err) == fault.Unavailable:
					refused.Add(1)
				default:
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		if got := running.Load(); got != int64(cores) {
			t.Errorf("%d hashes run at once on %d cores", got, cores)
		}
		if got := refused.Load(); got != 5 {
			t.Errorf("%d callers were refused, want the 5 that found the queue full", got)
		}
		close(release)
		synctest.Wait()
		if got := done.Load(); got != int64(callers-5) {
			t.Errorf("%d callers were served, want %d", got, callers-5)
		}
	})
}

func TestHasherHonoursContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(cheap)
		release := make(chan struct{})
		for range runtime.NumCPU() {
			go func() { _ = h.run(t.Context(), func() { <-release }) }()
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- h.run(ctx, func() { t.Error("ran after its context ended") }) }()
		synctest.Wait()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("run() error = %v, want context.Canceled", err)
		}
		close(release)
	})
}
