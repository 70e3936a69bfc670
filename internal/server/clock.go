package server

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// clock is the time as all nodes have it who share a store: the store's. So what one of
// them notes (when a lease ends, since when a token is revoked, when a key begins to sign)
// means the same to the others, however wrong the clocks of their machines are.
//
// What is known of the store's clock is as exact as a question takes. This machine's is
// left alone while it agrees with that; what differs by more is added to it. While the
// store does not answer, what was last found goes on.
type clock struct {
	here  func() time.Time
	ahead atomic.Int64 // by how many nanoseconds the store's clock is
	told  bool         // that the clocks differ; for whoever compares
}

// tellApart is by how much clocks must differ to be worth a line in the log.
const tellApart = time.Second

func newClock(here func() time.Time) *clock {
	if here == nil {
		here = time.Now
	}
	return &clock{here: here}
}

func (c *clock) now() time.Time {
	now := c.here()
	if ahead := c.ahead.Load(); ahead != 0 {
		return now.Add(time.Duration(ahead))
	}
	return now
}

// compare asks the store for its time. It is not called twice at once.
func (c *clock) compare(ctx context.Context, ask func(context.Context) (time.Time, error), log *slog.Logger) error {
	before := c.here()
	there, err := ask(ctx)
	after := c.here()
	if err != nil {
		return err
	}
	least, most := there.Sub(after), there.Sub(before) // as it was answered at some moment in between
	ahead := time.Duration(c.ahead.Load())
	if least <= ahead && ahead <= most {
		return nil
	}
	ahead = least + (most-least)/2
	c.ahead.Store(int64(ahead))
	if apart := ahead.Abs() > tellApart; apart != c.told {
		c.told = apart
		if apart {
			log.LogAttrs(ctx, slog.LevelWarn, "this machine's clock differs from the store's, which counts", slog.Duration("ahead", -ahead))
		}
	}
	return nil
}

// now is the time that counts.
func (c *Core) now() time.Time { return c.clock.now() }

// compareClocks looks at the store's clock, if it has one of its own.
func (c *Core) compareClocks(ctx context.Context) error {
	if c.store.now == nil {
		return nil
	}
	return c.clock.compare(ctx, c.store.now, c.log)
}
