package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// named answers with its name, after a while.
func named(name string, d time.Duration) *Entry {
	return &Entry{Bot: botFunc(func(ctx context.Context, _ Turn) (Answer, error) {
		if err := pause(ctx, d); err != nil {
			return Answer{}, err
		}
		return Answer{Replies: []Reply{{Body: json.RawMessage(name)}}}, nil
	})}
}

// TestBotsComeAndGo has a bot go while it works and turns wait, and come back.
func TestBotsComeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		stays := named("stays", 0)
		r, stop := run(t, b, nil)
		b.add("c1", "x", "one")
		b.add("c1", "x", "two")
		b.add("c2", "y", "other")
		after(t, time.Minute)
		b.want(t) // there is no bot at all
		r.Use(Registry{"x": named("first", 300*time.Millisecond), "y": stays})
		b.want(t, "c2 other: stays")

		r.Use(Registry{"y": stays})
		after(t, 300*time.Millisecond)
		b.want(t, "c1 one: first") // what it worked on when it went
		r.Wake("x")
		if w := r.Hire("x"); w != nil {
			t.Error("a worker of a bot was hired that is gone")
		}
		b.ask(r, "c2", "y", "more")
		after(t, time.Hour)
		b.want(t, "c2 more: stays")
		if got := b.waiting("c1"); got != 1 {
			t.Fatalf("%d turns wait, want one", got)
		}
		if got := b.attempt("c1"); got != 0 {
			t.Errorf("it was leased %d times", got)
		}

		r.Use(Registry{"x": named("second", 0), "y": stays})
		b.want(t, "c1 two: second")
		w := r.Hire("x")
		w.Answer(b.addLeased("c1", "x", "three", w.Until()))
		b.want(t, "c1 three: second")
		stop()
		r.Use(Registry{"x": named("late", 0)})
		b.add("c3", "x", "too late")
		if w := r.Hire("x"); w != nil {
			t.Error("a worker was hired after Run")
		}
		b.want(t)
	})
}

// TestHiredAsItGoes has a bot go between a worker's hire and its turn's commit.
func TestHiredAsItGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r, _ := run(t, b, bots{"x": Echo{}}, idle)
		w := r.Hire("x")
		r.Use(nil)
		synctest.Wait()
		w.Answer(b.addLeased("c1", "x", "hi", w.Until()))
		b.want(t, `c1 hi: {"text":"hi"}`)
	})
}

// TestGoneAndStopped stops a runner while a bot that is gone still works: its turn is
// given back.
func TestGoneAndStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r, stop := run(t, b, bots{"x": slow(time.Minute)})
		b.ask(r, "c1", "x", "hi")
		synctest.Wait()
		r.Use(nil)
		after(t, time.Second)
		stop()
		b.want(t, "c1 typing")
		run(t, b, bots{"x": Echo{}})
		b.want(t, `c1 hi: {"text":"hi"}`) // at once, not when the lease is over
	})
}

// TestEntriesChange has a bot replaced under a turn that fails: the next try is the new
// one's. A bot whose entry is the same has no more workers than before.
func TestEntriesChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		var calls, most atomic.Int64
		single := &Entry{Policy: Policy{Workers: 1}, Bot: botFunc(func(ctx context.Context, _ Turn) (Answer, error) {
			most.Store(max(most.Load(), calls.Add(1)))
			defer calls.Add(-1)
			return Answer{}, pause(ctx, 100*time.Millisecond)
		})}
		fails := &Entry{Bot: botFunc(func(ctx context.Context, _ Turn) (Answer, error) {
			return Answer{}, errors.Join(pause(ctx, 50*time.Millisecond), errors.New("not yet"))
		})}
		r, _ := run(t, b, nil)
		r.Use(Registry{"x": fails, "y": single})
		b.ask(r, "c1", "x", "hi")
		b.ask(r, "c2", "y", "a")
		b.ask(r, "c3", "y", "b")
		synctest.Wait()
		r.Use(Registry{"x": named("new", 0), "y": single})
		after(t, 300*time.Millisecond)
		after(t, 2*time.Second) // its backoff
		if got := slices.Sorted(slices.Values(b.said)); !slices.Equal(got, []string{"c1 hi: new", "c2 a: nothing", "c3 b: nothing"}) {
			t.Errorf("said %q", got)
		}
		if got := most.Load(); got != 1 {
			t.Errorf("the bot that has one worker had %d calls at a time", got)
		}
	})
}

// TestOtherGoesOn has a bot change while it works on the first of two turns of a
// conversation: the other one gets the second when that is done, though nobody looks.
func TestOtherGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r, _ := run(t, b, nil, func(c *RunnerConfig) { c.Poll = time.Hour })
		r.Use(Registry{"x": named("old", 300*time.Millisecond)})
		b.ask(r, "c1", "x", "one")
		synctest.Wait()
		b.ask(r, "c1", "x", "two")
		synctest.Wait()
		r.Use(Registry{"x": named("new", 0)})
		after(t, 300*time.Millisecond)
		b.want(t, "c1 one: old", "c1 two: new")
	})
}

// TestNothingStays has bots come, work and go, and be other ones each time, and leave no
// goroutine. It counts all there are, so it is not parallel.
func TestNothingStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r, _ := run(t, b, nil)
		first := 0
		for i := range 50 {
			bots := Registry{ID(fmt.Sprint("x", i%5)): named("x", time.Millisecond), "other": named("y", 0)}
			r.Use(bots)
			for id := range bots {
				b.ask(r, fmt.Sprint(id, i), id, "hi")
			}
			after(t, 2*time.Millisecond)
			if n := runtime.NumGoroutine(); i == 5 {
				first = n
			} else if i > 5 && n > first {
				t.Fatalf("%d goroutines after %d changes, %d after the first ones", n, i, first)
			}
		}
		if got := len(b.said); got != 100 {
			t.Errorf("%d answers, want 100", got)
		}
	})
}
