package bot

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// idle has nobody look for turns that nobody told of.
func idle(c *RunnerConfig) { c.Poll = time.Hour }

func TestHiredWorkerAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r, _ := run(t, b, bots{"echo": Echo{}}, idle)
		looks := b.looks
		w := r.Hire("echo")
		if got := time.Until(w.Until()); got != 15*time.Second {
			t.Errorf("the lease lasts %v, want 15s", got)
		}
		w.Answer(b.addLeased("c1", "echo", "hi", w.Until()))
		b.want(t, `c1 hi: {"text":"hi"}`)
		if got := b.looks - looks; got != 1 { // when the worker was free again
			t.Errorf("turns were looked for %d times, want once", got)
		}
	})
}

// TestHiredWorkerKeepsItsLease has a bot that takes longer than a lease.
func TestHiredWorkerKeepsItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		var attempts []int
		r, _ := run(t, b, bots{"x": botFunc(func(ctx context.Context, turn Turn) (Answer, error) {
			attempts = append(attempts, turn.Attempt)
			return slow(40*time.Second)(ctx, turn)
		})})
		b.ask(r, "c1", "x", "a")
		after(t, time.Minute)
		if b.last() != "c1 a: done" || len(attempts) != 1 || attempts[0] != 1 {
			t.Errorf("said %q in the attempts %v", b.last(), attempts)
		}
	})
}

func TestNextTurnFollowsAHiredWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r, _ := run(t, b, bots{"x": slow(100 * time.Millisecond)}, idle)
		for _, text := range []string{"a", "b", "c"} {
			b.ask(r, "c1", "x", text)
		}
		after(t, time.Second)
		b.want(t, "c1 a: done", "c1 b: done", "c1 c: done")
	})
}

// TestNobodyIsFree hires all workers: then no turn is leased that none is there for,
// and each that is let go takes one that waits.
func TestNobodyIsFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r, _ := run(t, b, bots{"x": slow(time.Second), "echo": Echo{}}, idle, func(c *RunnerConfig) { c.Workers = 3 })
		hired := []*Worker{r.Hire("x"), r.Hire("x"), r.Hire("x")}
		none := r.Hire("x")
		if none != nil || !none.Until().IsZero() {
			t.Errorf("a fourth of three workers was hired until %v", none.Until())
		}
		none.Answer(nil)
		b.ask(r, "c1", "x", "a")
		b.ask(r, "c2", "echo", "b") // has workers of its own
		b.want(t, `c2 b: {"text":"b"}`)
		if b.attempt("c1") != 0 {
			t.Error("a turn was leased that no worker was free for")
		}
		hired[1].Answer(nil)
		after(t, time.Second)
		b.want(t, "c1 typing", "c1 a: done")
		hired[0].Answer(nil)
		hired[2].Answer(nil)
		synctest.Wait()
		for i := range 3 {
			w := r.Hire("x")
			if w == nil {
				t.Errorf("of three workers %d are free again", i)
			}
			defer w.Answer(nil)
		}
	})
}

func TestHireOutsideOfRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r, err := NewRunner(RunnerConfig{Bots: bots{"x": Echo{}}.registry(), Turns: b, Replies: b})
		if err != nil {
			t.Fatal(err)
		}
		if r.Hire("x") != nil {
			t.Error("a worker was hired before Run")
		}
		r, stop := run(t, b, bots{"x": Echo{}})
		if r.Hire("y") != nil {
			t.Error("a worker of another node's bot was hired")
		}
		stop()
		if r.Hire("x") != nil {
			t.Error("a worker was hired after Run")
		}
	})
}

// TestHalfStaysFree lets a slow store be asked for turns, and a message come meanwhile.
func TestHalfStaysFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r, _ := run(t, b, bots{"echo": Echo{}}, idle, func(c *RunnerConfig) { c.Workers = 5 })
		b.lag = time.Second
		r.Wake("echo")
		synctest.Wait()
		var hired []*Worker
		for w := r.Hire("echo"); w != nil; w = r.Hire("echo") {
			hired = append(hired, w)
		}
		if len(hired) != 2 {
			t.Errorf("%d of 5 workers are free while turns are looked for, want 2", len(hired))
		}
		for i := range 4 {
			b.add(fmt.Sprint("c", i), "echo", "waited")
		}
		after(t, 5*time.Second)
		if n := len(b.said); n != 4 {
			t.Errorf("%d of 4 turns that waited were answered: %v", n, b.said)
		}
		for _, w := range hired {
			w.Answer(nil)
		}
	})
}

// TestStopWaitsForHiredWorkers stops a runner while a turn is being committed.
func TestStopWaitsForHiredWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r, stop := run(t, b, bots{"x": Echo{}})
		committing, failing := r.Hire("x"), r.Hire("x")
		var stopped atomic.Bool
		go func() {
			stop()
			stopped.Store(true)
		}()
		synctest.Wait()
		turn := b.addLeased("c1", "x", "a", committing.Until())
		failing.Answer(nil)
		synctest.Wait()
		if stopped.Load() {
			t.Fatal("Run did not wait")
		}
		committing.Answer(turn)
		synctest.Wait()
		if !stopped.Load() {
			t.Fatal("Run still waits")
		}
		b.want(t)
		if wait := b.due("c1"); wait > 0 {
			t.Errorf("another node has to wait for %v", wait)
		}
	})
}

// TestHireStress has users who ask two runners of few workers, one of which stops:
// every turn is answered once, by no more workers at a time than there are.
func TestHireStress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const users, each, workers = 16, 50, 3
		b := newBook()
		few := func(c *RunnerConfig) { c.Workers = workers }
		one, stop := run(t, b, bots{"echo": counted(t, workers)}, few)
		two, _ := run(t, b, bots{"echo": counted(t, workers)}, few)
		var asking sync.WaitGroup
		for u := range users {
			asking.Go(func() {
				for i := range each {
					b.ask([]*Runner{one, two}[(u+i)%2], fmt.Sprint("c", u), "echo", fmt.Sprint(i))
					if u == 0 && i == each/2 {
						stop()
					}
				}
			})
		}
		asking.Wait()
		after(t, 10*time.Minute)
		next := map[string]int{}
		for _, line := range b.said {
			var c string
			var i int
			if _, err := fmt.Sscanf(line, "%s %d:", &c, &i); err != nil || i != next[c] {
				t.Fatalf("said %q, want the answer to %d: %v", line, next[c], err)
			}
			next[c]++
		}
		if len(b.said) != users*each {
			t.Errorf("%d answers, want %d", len(b.said), users*each)
		}
	})
}

// counted is an echo that is called so many times at a time and no more.
func counted(t *testing.T, most int64) botFunc {
	var working atomic.Int64
	return func(ctx context.Context, turn Turn) (Answer, error) {
		if n := working.Add(1); n > most {
			t.Errorf("%d calls at a time, want at most %d", n, most)
		}
		defer working.Add(-1)
		if err := pause(ctx, time.Millisecond); err != nil {
			return Answer{}, err
		}
		return Echo{}.Answer(ctx, turn)
	}
}
