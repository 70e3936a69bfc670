package bot

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
)

// TestFinalErrorsEndATurn has bots whose next call would be as useless.
func TestFinalErrorsEndATurn(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"said so":          &CallError{Final: true, Err: errors.New("the bot answers 404")},
		"an answer of fog": fault.BadField("messages[0]", "must be JSON"),
		"too much":         fault.New(fault.TooLarge, "too much"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBook()
				r, _ := run(t, b, bots{"x": botFunc(func(context.Context, Turn) (Answer, error) { return Answer{}, err })})
				b.ask(r, "c1", "x", "a")
				b.ask(r, "c1", "x", "b")
				b.want(t, "c1 a: given up", "c1 b: given up")
				if diff := cmp.Diff([]string{err.Error(), err.Error()}, b.reasons); diff != "" {
					t.Errorf("reasons (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestRetryAfterIsHonoured has a bot that asks to be left alone.
func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		var calls []time.Time
		r, _ := run(t, b, bots{"x": botFunc(func(ctx context.Context, t Turn) (Answer, error) {
			if calls = append(calls, time.Now()); t.Attempt == 1 {
				return Answer{}, &CallError{After: 40 * time.Second, Err: errors.New("the bot answers 429")}
			}
			return Echo{}.Answer(ctx, t)
		})})
		b.ask(r, "c1", "x", "a")
		after(t, 39*time.Second)
		b.want(t)
		after(t, 3*time.Second)
		b.want(t, `c1 a: {"text":"a"}`)
		if wait := calls[1].Sub(calls[0]); wait < 40*time.Second {
			t.Errorf("called again after %v, want 40 s at least", wait)
		}
	})
}

// TestGiveUpAfter has a bot that is away for longer than its turns last. What waits
// behind the first one has a call, too.
func TestGiveUpAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		calls := map[string]int{}
		var back atomic.Bool
		r, _ := run(t, b, bots{"x": botFunc(func(ctx context.Context, t Turn) (Answer, error) {
			if calls[t.MessageID]++; !back.Load() {
				return Answer{}, errors.New("connection refused")
			}
			return Echo{}.Answer(ctx, t)
		})}, func(c *RunnerConfig) { c.Bots["x"].Policy = Policy{Attempts: 1000, GiveUp: time.Minute} })
		for _, id := range []string{"a", "b", "c"} {
			b.ask(r, "c1", "x", id)
		}
		began := time.Now()
		for b.waiting("c1") == 3 && time.Since(began) < 2*time.Minute {
			after(t, time.Second)
		}
		if took := time.Since(began); took > time.Minute+2*time.Second {
			t.Errorf("given up after %v, want at most a minute", took)
		}
		after(t, 90*time.Second)
		b.want(t, "c1 a: given up", "c1 b: given up", "c1 c: given up")
		if calls["a"] < 3 || calls["b"] < 1 || calls["c"] < 1 {
			t.Errorf("calls %v", calls)
		}
		back.Store(true)
		b.ask(r, "c1", "x", "d")
		b.want(t, `c1 d: {"text":"d"}`)
	})
}

// TestTurnPutBackHasItsTime puts an old turn back.
func TestTurnPutBackHasItsTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct{ again, want time.Time }{{time.Time{}, at}, {at.Add(time.Hour), at.Add(time.Hour)}} {
		if got := (Turn{At: at, Again: tc.again}).since(); !got.Equal(tc.want) {
			t.Errorf("since() = %v, want %v", got, tc.want)
		}
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	base := RunnerConfig{Workers: 1, Attempts: 2, GiveUp: 3, Timeout: 4}
	if got := base.with(Policy{}); !cmp.Equal(got.Workers, 1) || got.Attempts != 2 || got.GiveUp != 3 || got.Timeout != 4 {
		t.Errorf("with nothing: %+v", got)
	}
	got := base.with(Policy{Workers: 5, Attempts: 6, GiveUp: 7, Timeout: 8})
	if got.Workers != 5 || got.Attempts != 6 || got.GiveUp != 7 || got.Timeout != 8 {
		t.Errorf("with all: %+v", got)
	}
}

// TestHooks ends the hooks that a bot has not asked for without it.
func TestHooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		for _, kind := range []Kind{Offline, Ended, Message} {
			b.add("c1", "x", string(kind))
			turns := b.turns["c1"]
			turns[len(turns)-1].Kind = kind
		}
		talks := streamFunc(func(_ context.Context, tell func(Delta)) Answer {
			tell(Delta{"bot_1", "x"})
			return Answer{Replies: []Reply{{Body: json.RawMessage(`said`)}}}
		})
		run(t, b, bots{"x": talks}, func(c *RunnerConfig) { c.Bots["x"].Policy = Policy{Hooks: []Kind{Offline}} })
		b.want(t, "c1 delta x", "c1 offline: said", "c1 ended: nothing", "c1 delta x", "c1 message: said")
	})
}

// TestHookInSilence has a bot take its time over what nobody waits for.
func TestHookInSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		b.add("c1", "x", "over")
		b.turns["c1"][0].Kind = Ended
		talks := streamFunc(func(_ context.Context, tell func(Delta)) Answer {
			t.Error("a stream that nobody is to see")
			return Answer{}
		})
		run(t, b, bots{"x": both{slow(time.Minute - time.Second), talks}}, func(c *RunnerConfig) {
			c.Bots["x"].Policy = Policy{Hooks: []Kind{Ended}}
		})
		after(t, time.Minute)
		b.want(t, "c1 over: done")
	})
}

// both streams in one way and answers in another.
type both struct {
	botFunc
	streamFunc
}

func (b both) Answer(ctx context.Context, t Turn) (Answer, error) { return b.botFunc(ctx, t) }

func TestReason(t *testing.T) {
	t.Parallel()
	long := reason(errors.New(strings.Repeat("é", maxReason)))
	if len(long) > maxReason+3 || !strings.HasSuffix(long, "é…") {
		t.Errorf("reason of %d bytes: %q", len(long), long)
	}
	if got := reason(errors.New("a\xffb")); got != "a�b" {
		t.Errorf("reason() = %q", got)
	}
}

// TestStreamedAnswer shows parts, throttled, before the answer ends the turn.
func TestStreamedAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r, _ := run(t, b, bots{"x": streamFunc(func(ctx context.Context, tell func(Delta)) Answer {
			d := draft{tell: tell}
			for _, word := range []string{"a", "", "b", "c", "d"} {
				d.grow(word, time.Now())
				if err := pause(ctx, deltaEvery/2); err != nil {
					panic(err)
				}
			}
			reply, _ := d.end(nil)
			return Answer{Replies: []Reply{reply}}
		})})
		b.ask(r, "c1", "x", "hi")
		after(t, time.Second)
		b.want(t, "c1 delta a", "c1 delta b", "c1 delta cd", `c1 hi: {"text":"abcd"}`)
	})
}

type streamFunc func(ctx context.Context, tell func(Delta)) Answer

func (f streamFunc) Answer(context.Context, Turn) (Answer, error) { panic("it is not asked to stream") }

func (f streamFunc) Stream(ctx context.Context, _ Turn, tell func(Delta)) (Answer, error) {
	return f(ctx, tell), nil
}
