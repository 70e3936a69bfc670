package bot

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/crew"
)

// RunnerConfig requires Turns and Replies; every other zero value has a default.
type RunnerConfig struct {
	Bots    Registry // until [Runner.Use]
	Turns   turns
	Replies replies

	// What the policies of bots leave open.
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
	c    RunnerConfig
	crew crew.Crew // of the callers

	mu      sync.Mutex // of who changes the callers, or starts them
	callers atomic.Pointer[map[ID]*caller]
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
	r := &Runner{c: c}
	r.callers.Store(&map[ID]*caller{})
	r.Use(c.Bots)
	return r, nil
}

// Use has the runner call these bots from now on, and no others. It returns at once, and
// leaves bots alone whose entries are the same. A bot that is gone is asked nothing new
// but what is being handed to it now: the turns that it works on come to their ends, and
// those that wait do so until it is back, here or on another node. So for a while a bot
// that has changed may have calls of both kinds, each within its own Workers.
func (r *Runner) Use(bots Registry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, now := *r.callers.Load(), make(map[ID]*caller, len(bots))
	for id, e := range bots {
		c := before[id]
		if c == nil || c.entry != e {
			c = newCaller(r, id, e)
			r.crew.Start(c.run) // or Run does
		}
		now[id] = c
	}
	r.callers.Store(&now)
	for id, c := range before {
		if now[id] != c {
			close(c.over)
			r.Wake(id) // the one in its place may have missed something
		}
	}
}

// Run calls bots until ctx ends, gives back what was not answered by then, and
// returns nil. It is called once.
func (r *Runner) Run(ctx context.Context) error {
	r.mu.Lock()
	r.crew.Enlist(ctx)
	for _, c := range *r.callers.Load() {
		r.crew.Start(c.run)
	}
	r.mu.Unlock()
	<-ctx.Done()
	r.crew.Dismiss()
	return nil
}

// Wake says that there is a turn of the bot's which nobody was hired for. It returns at
// once. A bot that is not of this runner's is another node's.
func (r *Runner) Wake(id ID) {
	if c := (*r.callers.Load())[id]; c != nil {
		c.nudge()
	}
}

// Hire keeps a worker of the bot free for a turn that is about to be committed; nil if
// none is free now, or the bot is not of this runner's. Such a turn waits for [Runner.Wake].
func (r *Runner) Hire(id ID) *Worker {
	if c := (*r.callers.Load())[id]; c != nil {
		return c.hire()
	}
	return nil
}
