package server

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/revocation"
)

// TestWritesAreNews: others are told of what they must notice, and of nothing else.
func TestWritesAreNews(t *testing.T) {
	t.Parallel()
	run(t, load(t, t.TempDir(), ""), func(ctx context.Context, core *Core) error {
		told := newNews()
		defer core.bus.Subscribe(newsSubject, func([]byte) { told.note() })()
		hear := func(what string) {
			t.Helper()
			select {
			case <-told:
			case <-time.After(time.Minute):
				t.Fatalf("nobody is told of %s", what)
			}
		}
		// quiet waits until nobody is told of anything, which a busy machine does late.
		quiet := func() {
			for {
				select {
				case <-told:
				case <-time.After(3 * newsEvery):
					return
				}
			}
		}
		quiet() // first keys are news
		if _, _, err := core.Apps.Add(ctx, app.Registration{Name: "shop", Public: true}); err != nil {
			return err
		}
		hear("an app")
		_, err := core.Revocations.Add(ctx, revocation.Draft{Target: revocation.Target{Kind: revocation.ByToken, Name: "t1"}, Forever: true})
		if err != nil {
			return err
		}
		hear("a revocation")
		for range 10 {
			quiet()
			if _, err := core.store.Apps(ctx); err != nil {
				return err
			}
			select {
			case <-told: // of what came before, unless it is so each time
			case <-time.After(3 * newsEvery):
				return nil
			}
		}
		t.Error("a read is news")
		return nil
	})
}

// TestNews: what is written in a burst is told seldom, what could not be told is told
// when it can be, and a process that ends tells the last of it, if not for long.
func TestNews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		var told atomic.Int64
		publish := func() error {
			if away.Load() {
				return errors.New("away")
			}
			told.Add(1)
			return nil
		}
		n := newNews()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- n.spread(ctx, publish) }()
		for range 1000 {
			n.note()
			time.Sleep(time.Millisecond)
		}
		if got, most := told.Load(), int64(time.Second/newsEvery)+1; got < most/2 || got > most {
			t.Errorf("told %d times in a second, want at most %d", got, most)
		}
		time.Sleep(time.Second)
		before := told.Load()
		away.Store(true)
		n.note()
		time.Sleep(time.Second)
		away.Store(false)
		time.Sleep(2 * newsEvery)
		if got := told.Load(); got != before+1 {
			t.Errorf("after an outage told %d times, want once", got-before)
		}
		n.note()
		synctest.Wait()
		n.note()
		stop()
		if err := <-ended; err != nil || told.Load() != before+3 {
			t.Errorf("at the end told %d times, error = %v", told.Load()-before-1, err)
		}

		away.Store(true)
		n.note()
		began := time.Now()
		if err := n.spread(ctx, publish); err != nil || time.Since(began) > lastNews+newsEvery {
			t.Errorf("a bus that is away holds an end up for %v, error = %v", time.Since(began), err)
		}
	})
}
