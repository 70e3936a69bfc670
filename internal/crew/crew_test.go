package crew

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestCrewWorksBetweenEnlistAndTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c Crew
		done := 0
		work := func(context.Context) { done++ }
		if c.Start(work) {
			t.Error("work is done before anybody was enlisted")
		}
		ctx, cancel := context.WithCancel(t.Context())
		c.Enlist(ctx)
		for range 3 {
			if !c.Start(work) {
				t.Error("no work is done")
			}
			synctest.Wait()
		}
		cancel()
		if c.Start(work) {
			t.Error("work is done behind the end")
		}
		c.Dismiss()
		if c.Start(work) || done != 3 {
			t.Errorf("done %d times, want 3", done)
		}
	})
}

// TestCrewWaits for what is being done, which sees the end of the context.
func TestCrewWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c Crew
		ctx, cancel := context.WithCancel(t.Context())
		c.Enlist(ctx)
		c.Start(func(ctx context.Context) {
			<-ctx.Done()
			time.Sleep(time.Second)
		})
		cancel()
		began := time.Now()
		c.Dismiss()
		if took := time.Since(began); took != time.Second {
			t.Errorf("Dismiss() took %v, want until the work has ended", took)
		}
	})
}

// TestCrewEndsBeforeItsContext lets work end by itself.
func TestCrewEndsBeforeItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c Crew
		c.Enlist(t.Context())
		began := time.Now()
		c.Start(func(ctx context.Context) {
			time.Sleep(time.Second)
			if ctx.Err() != nil || c.Start(func(context.Context) {}) {
				t.Error("work begins behind the end, or its own was cut short")
			}
		})
		synctest.Wait()
		c.Dismiss()
		if took := time.Since(began); took != time.Second {
			t.Errorf("Dismiss() took %v, want until the work has ended", took)
		}
	})
}

// resting is how many goroutines have no work.
func (c *Crew) resting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.idle)
}

// TestCrewKeepsSome has more work at once than goroutines stay for, then less.
func TestCrewKeepsSome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c Crew
		ctx, cancel := context.WithCancel(t.Context())
		c.Enlist(ctx)
		for range maxIdle + 10 {
			c.Start(func(context.Context) { time.Sleep(time.Second) })
		}
		if n := c.resting(); n != 0 {
			t.Errorf("%d are idle, want none", n)
		}
		time.Sleep(2 * time.Second)
		if n := c.resting(); n != maxIdle {
			t.Errorf("%d are idle, want %d", n, maxIdle)
		}
		c.Start(func(context.Context) { time.Sleep(time.Second) })
		if n := c.resting(); n != maxIdle-1 {
			t.Errorf("%d are idle, want one less", n)
		}
		cancel()
		c.Dismiss()
	})
}

// TestCrewStops while it is given work by many.
func TestCrewStops(t *testing.T) {
	t.Parallel()
	for range 20 {
		var c Crew
		var began, done atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		c.Enlist(ctx)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for c.Start(func(context.Context) { done.Add(1) }) {
					began.Add(1)
				}
			})
		}
		for done.Load() < 50 {
			runtime.Gosched()
		}
		cancel()
		c.Dismiss()
		wg.Wait()
		if began.Load() != done.Load() {
			t.Fatalf("began %d pieces of work and did %d", began.Load(), done.Load())
		}
	}
}

// deep needs a stack as calls through JSON and HTTP do.
func deep(n int) int {
	var page [256]byte
	if n == 0 {
		return len(page)
	}
	page[n] = byte(n)
	return deep(n-1) + int(page[n])
}

// BenchmarkStart is work that needs 10 KB of stack, on the goroutines of a crew and on
// new ones.
func BenchmarkStart(b *testing.B) {
	var c Crew
	ctx, cancel := context.WithCancel(b.Context())
	defer c.Dismiss()
	defer cancel()
	c.Enlist(ctx)
	done := make(chan int)
	work := func(context.Context) { done <- deep(30) }
	b.Run("crew", func(b *testing.B) {
		for b.Loop() {
			c.Start(work)
			<-done
		}
	})
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			go work(ctx)
			<-done
		}
	})
}
