package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/trace"
)

var (
	errLeaseLost = errors.New("lease lost")
	errTimeout   = errors.New("no answer in time")
	// errNoSurvivor is of a turn that had all its calls, and none that came to an end.
	errNoSurvivor = errors.New("no node survived the call")
)

// givenBackWithin is how long a stop waits for a turn to be given back.
const givenBackWithin = 2 * time.Second

// answer calls the bot for a turn, and ends the turn or lets it be tried again.
func (c *caller) answer(ctx context.Context, t Turn) {
	ctx, span := trace.Start(trace.Because(ctx, t.Cause), "bot turn")
	defer span.End()
	err := errNoSurvivor
	if t.Attempt <= c.Attempts {
		err = c.call(ctx, t)
	}
	c.tell(ctx, span, t, err)
	switch {
	case err == nil, errors.Is(err, errLeaseLost):
	case ctx.Err() != nil:
		// The node stops. Another need not wait for the lease to end.
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), givenBackWithin)
		defer cancel()
		c.retry(stop, t, c.Clock())
	default:
		c.failed(ctx, t, err)
	}
}

// tell says in a span how an attempt ended.
func (c *caller) tell(ctx context.Context, span trace.Span, t Turn, err error) {
	outcome := outcomeOf(ctx, err)
	span.Set("carnet.bot", string(c.id))
	span.Set("carnet.turn", string(t.Kind))
	span.Count("carnet.attempt", t.Attempt)
	span.Set("carnet.outcome", outcome)
	if err != nil {
		span.Fail(outcome)
	}
}

// outcomeOf says in a word how an attempt ended.
func outcomeOf(ctx context.Context, err error) string {
	if err == nil {
		return "answered"
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	final, _ := judge(err)
	switch {
	case errors.Is(err, errLeaseLost):
		return "lease_lost"
	case errors.Is(err, errTimeout):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "stopped"
	case final:
		return "refused"
	}
	return "failed"
}

// failed has the turn tried again, unless that is of no use or its time is over.
func (c *caller) failed(ctx context.Context, t Turn, err error) {
	final, wait := judge(err)
	next := c.Clock().Add(max(wait, backoff(t.Attempt)))
	if !final && t.Attempt < c.Attempts && !next.After(t.since().Add(c.GiveUp)) {
		c.log(ctx, slog.LevelWarn, "bot failed", t, err)
		c.retry(ctx, t, next)
		return
	}
	c.log(ctx, slog.LevelError, "bot given up", t, err)
	if err := c.Replies.GiveUp(ctx, t, reason(err)); err != nil {
		c.log(ctx, slog.LevelError, "turn not ended", t, err)
	}
}

// call has the bot's answer committed. While the bot works the lease is kept.
func (c *caller) call(ctx context.Context, t Turn) error {
	if t.Kind.Hook() && !slices.Contains(c.entry.Policy.Hooks, t.Kind) {
		return c.Replies.Reply(ctx, t, Answer{})
	}
	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work, cancel := context.WithTimeoutCause(work, c.Timeout, errTimeout)
	defer cancel()
	a, err := c.ask(work, stop, t)
	if err == nil {
		err = c.Replies.Reply(ctx, t, a)
	}
	if cause := context.Cause(work); err != nil && cause != nil {
		return cause
	}
	return err
}

// ask calls the bot. A bot that panics fails.
func (c *caller) ask(ctx context.Context, stop context.CancelCauseFunc, t Turn) (a Answer, err error) {
	ctx, end := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	keeper.Add(1)
	late := time.AfterFunc(c.quick(), func() { // most bots have answered by then
		defer keeper.Done()
		c.keep(ctx, stop, t)
	})
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if late.Stop() {
			keeper.Done()
		}
		end()
		keeper.Wait()
	}()
	if s, ok := c.entry.Bot.(Streamer); ok && t.Kind != Ended { // whose messages nobody is to see
		return s.Stream(ctx, t, func(d Delta) { c.Replies.Stream(ctx, t, d) })
	}
	return c.entry.Bot.Answer(ctx, t)
}

// A bot that has not answered after typingAfter is shown to be typing, and shown
// again, since clients stop to show it after a while.
const (
	typingAfter = 400 * time.Millisecond
	typingAgain = 4 * time.Second
)

// quick is how long a call may take without anything to be done for it.
func (c *caller) quick() time.Duration { return min(typingAfter, c.Lease/3) }

// keep begins when a call has been on for as long as a quick one. It extends the lease
// and shows that the bot is at work until ctx ends. It calls stop if the lease is lost; if
// the store cannot be asked it is kept in hope.
func (c *caller) keep(ctx context.Context, stop context.CancelCauseFunc, t Turn) {
	extend := time.NewTimer(c.Lease/3 - c.quick())
	defer extend.Stop()
	typing := time.NewTimer(typingAfter - c.quick())
	defer typing.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-typing.C:
			if !t.Kind.Hook() { // nobody has asked
				c.Replies.Typing(ctx, t)
			}
			typing.Reset(typingAgain)
		case <-extend.C:
			extend.Reset(c.Lease / 3)
			if held, err := c.Turns.ExtendTurn(ctx, t, c.Clock().Add(c.Lease)); err == nil && !held {
				stop(errLeaseLost)
				return
			}
		}
	}
}

func (c *caller) retry(ctx context.Context, t Turn, at time.Time) {
	if err := c.Turns.RetryTurn(ctx, t, at); err != nil {
		c.log(ctx, slog.LevelWarn, "turn waits for its lease to end", t, err)
	}
}

func (c *caller) log(ctx context.Context, level slog.Level, msg string, t Turn, err error) {
	c.Log.LogAttrs(ctx, level, msg, slog.String("bot", string(c.id)), slog.String("conversation", t.Conversation),
		slog.Int64("seq", t.Seq), slog.Int("attempt", t.Attempt), slog.Any("err", err))
}

// The wait before a turn is tried again is random, of up to firstBackoff, which
// doubles with each attempt up to maxBackoff: bots that come back are not called by
// everyone at once.
const (
	firstBackoff = time.Second
	maxBackoff   = time.Minute
)

func backoff(attempt int) time.Duration {
	most := maxBackoff
	if n := attempt - 1; n < 6 {
		most = min(firstBackoff<<max(n, 0), maxBackoff)
	}
	return rand.N(most)
}
