package bot

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetriesThenGivesUp(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]botFunc{
		"error": func(context.Context, Turn) (Answer, error) { return Answer{}, errors.New("no") },
		"panic": func(context.Context, Turn) (Answer, error) { panic("oh") },
		"hangs": func(ctx context.Context, _ Turn) (Answer, error) { <-ctx.Done(); return Answer{}, ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBook()
				var calls []time.Time
				var log bytes.Buffer
				r, _ := run(t, b, bots{"x": botFunc(func(ctx context.Context, t Turn) (Answer, error) {
					calls = append(calls, time.Now())
					if t.Attempt != len(calls) {
						panic("attempts are not counted")
					}
					return fails(ctx, t)
				})}, func(c *RunnerConfig) {
					c.Timeout = 300 * time.Millisecond
					c.Log = slog.New(slog.NewTextHandler(&log, nil))
				})
				b.add("c1", "x", "a")
				r.Wake("x")
				after(t, 5*time.Minute)
				b.want(t, "c1 a: given up")
				if len(calls) != 8 {
					t.Fatalf("%d calls, want 8", len(calls))
				}
				for i := 1; i < 8; i++ {
					wait := calls[i].Sub(calls[i-1])
					if most := min(firstBackoff<<(i-1), maxBackoff) + 300*time.Millisecond + time.Second; wait > most {
						t.Errorf("call %d came after %v, want at most %v", i+1, wait, most)
					}
				}
				if !strings.Contains(log.String(), `level=ERROR msg="bot given up" bot=x conversation=c1 seq=1 attempt=8`) {
					t.Errorf("logged\n%s", log.String())
				}
				if name == "hangs" && !strings.Contains(log.String(), errTimeout.Error()) {
					t.Errorf("the reason is not told:\n%s", log.String())
				}
			})
		})
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for attempt, most := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 6: 32 * time.Second,
		7: time.Minute, 8: time.Minute, 1 << 40: time.Minute,
	} {
		shortest, longest := most, time.Duration(0)
		for range 2000 {
			d := backoff(attempt)
			if d < 0 || d >= most {
				t.Fatalf("attempt %d: backoff() = %v, want less than %v", attempt, d, most)
			}
			shortest, longest = min(shortest, d), max(longest, d)
		}
		if shortest > most/10 || longest < most*9/10 {
			t.Errorf("attempt %d: 2000 waits are of %v to %v, want 0 to %v", attempt, shortest, longest, most)
		}
	}
}

// TestCrashingTurnIsGivenUp has a turn whose every call took its node along.
func TestCrashingTurnIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		b.add("c1", "x", "poison")
		for range 8 {
			b.steal("c1")
		}
		var calls atomic.Int64
		run(t, b, bots{"x": botFunc(func(context.Context, Turn) (Answer, error) {
			calls.Add(1)
			return Answer{}, nil
		})})
		after(t, time.Hour)
		b.want(t, "c1 poison: given up")
		if n := calls.Load(); n != 0 {
			t.Errorf("called %d times again", n)
		}
	})
}

// TestLeaseIsKept has a call that takes longer than a lease, and another node that
// looks for turns all the while.
func TestLeaseIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r, _ := run(t, b, bots{"x": slow(50 * time.Second)})
		b.add("c1", "x", "a")
		r.Wake("x")
		synctest.Wait()
		var stolen atomic.Bool
		run(t, b, bots{"x": botFunc(func(context.Context, Turn) (Answer, error) {
			stolen.Store(true)
			return Answer{}, nil
		})})
		after(t, time.Minute)
		if stolen.Load() || b.last() != "c1 a: done" {
			t.Errorf("taken over: %v, said %q", stolen.Load(), b.last())
		}
	})
}

// TestLeaseLost lets another node take the turn over: the call is called off, and
// nothing of it counts.
func TestLeaseLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		var cause error
		r, _ := run(t, b, bots{"x": botFunc(func(ctx context.Context, _ Turn) (Answer, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return Answer{}, ctx.Err()
		})}, func(c *RunnerConfig) { c.Poll = time.Hour })
		b.add("c1", "x", "a")
		r.Wake("x")
		synctest.Wait()
		b.steal("c1")
		after(t, 5*time.Second)
		if !errors.Is(cause, errLeaseLost) {
			t.Errorf("the call ended with %v, want a lost lease", cause)
		}
		if b.attempt("c1") != 2 || b.due("c1") < 30*time.Minute {
			t.Error("the other node's lease was touched")
		}
		b.want(t, "c1 typing", "c1 typing")
	})
}

// TestLeaseInDoubt keeps on calling while the store is out of reach: the answer
// counts if nobody else was faster.
func TestLeaseInDoubt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r, _ := run(t, b, bots{"x": slow(13 * time.Second)})
		b.add("c1", "x", "a")
		r.Wake("x")
		after(t, time.Second)
		b.fail(errors.New("disk gone"))
		after(t, 11*time.Second)
		b.fail(nil)
		after(t, 2*time.Second)
		b.want(t, "c1 typing", "c1 typing", "c1 typing", "c1 typing", "c1 a: done")
	})
}

func TestAnswerThatCannotBeKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		var calls int
		r, _ := run(t, b, bots{"x": botFunc(func(ctx context.Context, t Turn) (Answer, error) {
			if calls++; calls == 1 {
				b.fail(errors.New("disk gone"))
			}
			return Echo{}.Answer(ctx, t)
		})})
		b.add("c1", "x", "a")
		r.Wake("x")
		synctest.Wait()
		b.fail(nil)
		b.want(t)
		after(t, 16*time.Second) // the lease could not be given back
		b.want(t, `c1 a: {"text":"a"}`)
	})
}

func TestTypingIsShownForSlowAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		takes time.Duration
		want  []string
	}{
		"quick": {typingAfter - time.Millisecond, []string{"c1 a: done"}},
		"slow":  {typingAfter + time.Millisecond, []string{"c1 typing", "c1 a: done"}},
		"slower": {
			typingAfter + 2*typingAgain + time.Millisecond,
			[]string{"c1 typing", "c1 typing", "c1 typing", "c1 a: done"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBook()
				r, _ := run(t, b, bots{"x": slow(tc.takes)})
				b.add("c1", "x", "a")
				r.Wake("x")
				after(t, tc.takes+time.Millisecond)
				b.want(t, tc.want...)
			})
		})
	}
}
