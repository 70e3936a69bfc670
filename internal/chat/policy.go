package chat

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/limit"
)

// Policy is how conversations with one bot live, and how much of them it can take. Every
// zero value has a default.
type Policy struct {
	// Lifetime is how old a conversation becomes; the default is no end. Who speaks in one
	// that has ended is refused, and who connects goes on in the next.
	Lifetime time.Duration
	// Hooks has the bot told of [bot.Offline] and [bot.Ended].
	Hooks bool
	// SessionTimeout is how long after the last connection a session has ended; default
	// 30 min.
	SessionTimeout time.Duration
	// Waiting is how many messages may wait for their answers, in all, before more are
	// refused; default 2048. It is exact as far as this node has taken them.
	Waiting int
	Rate    limit.Rate // messages to the bot that this node takes; zero: no limit
}

// party is a bot as the engine knows it.
type party struct {
	Policy
	bot   bot.ID
	rate  *limit.Limiter
	sends atomic.Int64 // messages that wait for their commit
	owed  atomic.Int64 // turns that have not ended, by the last count and what this node did since
}

// party is the bot of a conversation. There is one for each name that such bots have had.
func (e *Engine) party(of bot.ID) *party {
	if p, ok := e.parties.Load(of); ok {
		return p.(*party)
	}
	c := e.c.Policies[of]
	c.SessionTimeout = cmp.Or(c.SessionTimeout, 30*time.Minute)
	c.Waiting = cmp.Or(c.Waiting, 2048)
	p, _ := e.parties.LoadOrStore(of, &party{Policy: c, bot: of, rate: limit.New(c.Rate, 1)})
	return p.(*party)
}

// ended tells whether a conversation that began then is over. A step of the wall clock
// moves the end by as much.
func (p *party) ended(began, now time.Time) bool {
	return p.Lifetime > 0 && now.Sub(began) >= p.Lifetime
}

// count asks the store what each bot owes, for what other nodes have done.
func (e *Engine) count(ctx context.Context) {
	waiting, err := e.c.Store.WaitingTurns(ctx)
	e.storeTrouble.note(ctx, err)
	if err != nil {
		return
	}
	for of := range waiting {
		e.party(of)
	}
	e.parties.Range(func(of, p any) bool {
		p.(*party).owed.Store(waiting[of.(bot.ID)])
		return true
	})
}
