package bot

import (
	"context"
	"log/slog"
	"time"
)

// caller works on the turns of one bot.
type caller struct {
	RunnerConfig // as the entry's policy wants it
	id           ID
	entry        *Entry
	wake         chan struct{} // holds one: there may be turns
	over         chan struct{} // closed when it is to take no more
	staff        staff
	next         func() // tells whoever calls the bot by then that there may be turns

	failing bool // whether the store could not be asked, for run alone
}

func newCaller(r *Runner, id ID, e *Entry) *caller {
	return &caller{
		RunnerConfig: r.c.with(e.Policy), id: id, entry: e, wake: make(chan struct{}, 1), over: make(chan struct{}),
		next: func() { r.Wake(id) },
	}
}

func (c *caller) nudge() {
	select {
	case c.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// run leases turns as workers are free, until ctx ends or the caller is over, and waits
// for all of them at the end.
func (c *caller) run(ctx context.Context) {
	c.staff.enlist(ctx, c.Workers)
	defer c.staff.dismiss()
	poll := time.NewTicker(c.Poll)
	defer poll.Stop()
	for {
		for !c.isOver() && c.fill(ctx) {
		}
		select {
		case <-ctx.Done():
			return
		case <-c.over:
			return
		case <-c.wake:
		case <-poll.C:
		}
	}
}

func (c *caller) isOver() bool {
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}

// fill gives turns that are due to free workers. It is true if it found one for each
// that it asked for: there may be more.
func (c *caller) fill(ctx context.Context) (more bool) {
	free := c.staff.half()
	if free == 0 {
		return false
	}
	turns := c.lease(ctx, free)
	for _, t := range turns {
		if !c.staff.crew.Start(func(ctx context.Context) { c.work(ctx, &t) }) {
			c.work(ctx, &t) // Run ends: the lease is given back
		}
	}
	c.staff.release(free - len(turns))
	return len(turns) == free
}

// hire starts a worker that waits for its turn.
func (c *caller) hire() *Worker {
	w := &Worker{until: c.Clock().Add(c.Lease), turn: make(chan *Turn, 1)}
	if !c.staff.start(func(ctx context.Context) { c.work(ctx, <-w.turn) }) {
		return nil
	}
	return w
}

// work is what a worker does until it is free again.
func (c *caller) work(ctx context.Context, t *Turn) {
	if t != nil {
		c.answer(ctx, *t)
	}
	c.staff.release(1)
	c.next() // the conversation's next turn may be waiting for this one, or any for a worker
}

func (c *caller) lease(ctx context.Context, limit int) []Turn {
	now := c.Clock()
	turns, err := c.Turns.LeaseTurns(ctx, c.id, now, now.Add(c.Lease), limit)
	if err != nil && ctx.Err() == nil && !c.failing {
		c.Log.LogAttrs(ctx, slog.LevelError, "turns cannot be read", slog.String("bot", string(c.id)), slog.Any("err", err))
	}
	c.failing = err != nil
	return turns
}
