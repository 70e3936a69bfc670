package bot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestNewRunnerNeedsItsParts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]RunnerConfig{
		"turns":   {Replies: newBook()},
		"replies": {Turns: newBook()},
	} {
		if _, err := NewRunner(c); err == nil {
			t.Errorf("without %s: NewRunner() = nil error", name)
		}
	}
}

func TestWakeAnswersAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r, _ := run(t, b, bots{"echo": Echo{}}, func(c *RunnerConfig) { c.Poll = time.Hour })
		b.add("c1", "echo", "hi")
		b.want(t)
		r.Wake("nobody")
		b.want(t)
		r.Wake("echo")
		b.want(t, `c1 hi: {"text":"hi"}`)
	})
}

// TestPollFindsTheRest has turns that nobody told of: committed by another node.
func TestPollFindsTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		run(t, b, bots{"echo": Echo{}})
		b.add("c1", "echo", "hi")
		b.add("c2", "menu", "of a bot that is not here")
		after(t, time.Second)
		b.want(t, `c1 hi: {"text":"hi"}`)
		if b.attempt("c2") != 0 {
			t.Error("the turn of another bot was leased")
		}
	})
}

func TestTurnsOfAConversationInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		var calls []string
		var first atomic.Bool
		r, _ := run(t, b, bots{"x": botFunc(func(ctx context.Context, t Turn) (Answer, error) {
			calls = append(calls, t.MessageID) // one at a time, so without a lock
			if t.MessageID == "b" && !first.Swap(true) {
				return Answer{}, errors.New("not yet")
			}
			return Echo{}.Answer(ctx, t)
		})})
		for _, id := range []string{"a", "b", "c", "d"} {
			b.add("c1", "x", id)
		}
		r.Wake("x")
		after(t, 10*time.Second)
		b.want(t, `c1 a: {"text":"a"}`, `c1 b: {"text":"b"}`, `c1 c: {"text":"c"}`, `c1 d: {"text":"d"}`)
		if got := strings.Join(calls, ""); got != "abbcd" {
			t.Errorf("calls %s, want abbcd", got)
		}
	})
}

// TestSlowBotHoldsUpNobody has a bot that answers nothing, with more turns than it has
// workers and all older than those of the others.
func TestSlowBotHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		var calls, most atomic.Int64
		hang := botFunc(func(ctx context.Context, t Turn) (Answer, error) {
			if n := calls.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer calls.Add(-1)
			if t.Conversation == "quick" {
				return Echo{}.Answer(ctx, t)
			}
			<-ctx.Done()
			return Answer{}, ctx.Err()
		})
		for i := range 100 {
			b.add(fmt.Sprint("slow", i), "hang", "a")
		}
		r, _ := run(t, b, bots{"hang": hang, "echo": Echo{}}, func(c *RunnerConfig) { c.Workers = 4 })
		b.add("c1", "echo", "hi")
		r.Wake("echo")
		b.want(t, `c1 hi: {"text":"hi"}`)
		if got := most.Load(); got != 4 {
			t.Errorf("%d calls at a time, want 4", got)
		}
		if b.attempt("slow3") != 1 || b.attempt("slow4") != 0 {
			t.Error("turns are leased that no worker is free for")
		}
	})
}

// TestOneSlowConversation has a bot that is slow with one user alone.
func TestOneSlowConversation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r, _ := run(t, b, bots{"x": botFunc(func(ctx context.Context, t Turn) (Answer, error) {
			if t.Conversation == "slow" {
				return slow(time.Minute/2)(ctx, t)
			}
			return Echo{}.Answer(ctx, t)
		})}, func(c *RunnerConfig) { c.Poll = time.Hour })
		b.add("slow", "x", "a")
		r.Wake("x")
		synctest.Wait()
		b.add("c1", "x", "b")
		b.add("c1", "x", "c")
		r.Wake("x")
		b.want(t, `c1 b: {"text":"b"}`, `c1 c: {"text":"c"}`)
	})
}

func TestStopGivesTurnsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		_, stop := run(t, b, bots{"x": slow(time.Minute)})
		b.add("c1", "x", "a")
		after(t, 2*time.Second)
		if b.due("c1") < 5*time.Second {
			t.Fatal("the turn is not leased")
		}
		stop()
		if wait := b.due("c1"); wait > 0 {
			t.Errorf("another node has to wait for %v", wait)
		}
	})
}

// TestStoreIsLoggedOnce lets the store be out of reach for a while.
func TestStoreIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		var log bytes.Buffer
		run(t, b, bots{"echo": Echo{}}, func(c *RunnerConfig) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		b.fail(errors.New("disk gone"))
		b.add("c1", "echo", "hi")
		after(t, 10*time.Second)
		b.fail(nil)
		after(t, time.Second)
		b.want(t, `c1 hi: {"text":"hi"}`)
		if got := strings.Count(log.String(), "turns cannot be read"); got != 1 {
			t.Errorf("logged %d times:\n%s", got, log.String())
		}
	})
}

// TestTwoRunners share a store: every turn is answered once.
func TestTwoRunners(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		one, stop := run(t, b, bots{"echo": Echo{}})
		two, _ := run(t, b, bots{"echo": Echo{}})
		var want []string
		for i := range 50 {
			b.add("c1", "echo", fmt.Sprint(i))
			want = append(want, fmt.Sprintf(`c1 %d: {"text":"%d"}`, i, i))
			one.Wake("echo")
			two.Wake("echo")
			if i == 25 {
				stop()
			}
		}
		after(t, 20*time.Second)
		b.want(t, want...)
	})
}
