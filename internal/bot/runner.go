package bot

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// RunnerConfig requires Turns and Replies; every other zero value has a default.
type RunnerConfig struct {
	Bots    Registry
	Turns   turns
	Replies replies

	// Policies are those of bots that differ from what follows.
	Policies map[ID]Policy

	Workers  int           // calls of one bot at a time; default 64
	Attempts int           // calls for one turn until it is given up; default 8
	GiveUp   time.Duration // after which a turn is not tried again; default 5 min
	Timeout  time.Duration // of one call; default 1 min
	Lease    time.Duration // how long a turn is kept from other nodes at a time; default 15 s
	Poll     time.Duration // how often turns are looked for that nobody told of; default 1 s
	Clock    func() time.Time
	Log      *slog.Logger
}

// Runner calls bots for the turns that they owe. Each bot has workers of its own, so
// that a slow one holds up no other, and of a conversation one turn is on at a time.
// A node that dies leaves its turns to whoever looks first when the lease is over.
type Runner struct {
	c       RunnerConfig
	callers map[ID]*caller
}

// NewRunner returns a runner. Nothing is called before Run.
func NewRunner(c RunnerConfig) (*Runner, error) {
	if c.Turns == nil || c.Replies == nil {
		return nil, errors.New("bot: turns and replies are required")
	}
	if c.Workers == 0 {
		c.Workers = 64
	}
	if c.Attempts == 0 {
		c.Attempts = 8
	}
	if c.GiveUp == 0 {
		c.GiveUp = 5 * time.Minute
	}
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	if c.Lease == 0 {
		c.Lease = 15 * time.Second
	}
	if c.Poll == 0 {
		c.Poll = time.Second
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	r := &Runner{c: c, callers: map[ID]*caller{}}
	for id, b := range c.Bots {
		p := c.Policies[id]
		r.callers[id] = &caller{RunnerConfig: c.with(p), hooks: p.Hooks, id: id, bot: b, wake: make(chan struct{}, 1)}
	}
	return r, nil
}

// Run calls bots until ctx ends, gives back what was not answered by then, and
// returns nil.
func (r *Runner) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, c := range r.callers {
		wg.Go(func() { c.run(ctx) })
	}
	wg.Wait()
	return nil
}

// Wake says that there is a turn of the bot's which nobody was hired for. It returns at
// once. A bot that is not of this runner's is another node's.
func (r *Runner) Wake(id ID) {
	if c := r.callers[id]; c != nil {
		c.nudge()
	}
}

// Hire keeps a worker of the bot free for a turn that is about to be committed; nil if
// none is free now, or the bot is not of this runner's. Such a turn waits for [Runner.Wake].
func (r *Runner) Hire(id ID) *Worker {
	if c := r.callers[id]; c != nil {
		return c.hire()
	}
	return nil
}

// caller works on the turns of one bot.
type caller struct {
	RunnerConfig
	hooks []Kind // see Policy.Hooks
	id    ID
	bot   Bot
	wake  chan struct{} // holds one: there may be turns
	staff staff

	failing bool // whether the store could not be asked, for run alone
}

func (c *caller) nudge() {
	select {
	case c.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// run leases turns as workers are free, and waits for all of them at the end.
func (c *caller) run(ctx context.Context) {
	c.staff.enlist(ctx, c.Workers)
	defer c.staff.dismiss()
	poll := time.NewTicker(c.Poll)
	defer poll.Stop()
	for {
		for c.fill(ctx) {
		}
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-poll.C:
		}
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
	c.nudge() // the conversation's next turn may be waiting for this one, or any for a worker
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
