package chat

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/limit"
)

// party is a bot as the engine knows it, also one that is not there any more.
type party struct {
	bot    bot.ID
	latest atomic.Pointer[terms]
	sends  atomic.Int64 // messages that wait for their commit
	owed   atomic.Int64 // turns that have not ended, by the last count and what this node did since
}

// terms are those on which a bot talks. They never change: a bot gets others.
type terms struct {
	Policy
	rate *limit.Limiter
	gone bool // it does not
}

// now are the terms in force.
func (p *party) now() *terms { return p.latest.Load() }

// agree puts a policy in force. What was counted against an equal rate goes on counting.
func (p *party) agree(c Policy, gone bool) {
	c.SessionTimeout = cmp.Or(c.SessionTimeout, 30*time.Minute)
	c.Waiting = cmp.Or(c.Waiting, 2048)
	next := &terms{Policy: c, gone: gone}
	if was := p.now(); was != nil && was.Rate == c.Rate {
		next.rate = was.rate
	} else {
		next.rate = limit.New(c.Rate, 1)
	}
	p.latest.Store(next)
}

// Use has users talk with these bots from now on, and with no others. Conversations with
// one that is gone stay open, and can be read: what is said in them is refused until it is
// back, and what waits for its answer waits on. Calls do not overlap.
func (e *Engine) Use(bots map[bot.ID]Policy) {
	for of, c := range bots {
		e.party(of).agree(c, false)
	}
	e.parties.Range(func(of, p any) bool {
		if _, here := bots[of.(bot.ID)]; !here {
			p := p.(*party)
			p.agree(p.now().Policy, true)
		}
		return true
	})
}

// Knows tells whether there is such a bot to talk to.
func (e *Engine) Knows(b bot.ID) bool {
	p, ok := e.parties.Load(b)
	return ok && !p.(*party).now().gone
}

// party is the bot of a conversation. There is one for each name that such bots have had.
func (e *Engine) party(of bot.ID) *party {
	if p, ok := e.parties.Load(of); ok {
		return p.(*party)
	}
	made := &party{bot: of}
	made.agree(Policy{}, true)
	p, _ := e.parties.LoadOrStore(of, made)
	return p.(*party)
}

// ended tells whether a conversation that began then is over. A step of the wall clock
// moves the end by as much.
func (p *party) ended(began, now time.Time) bool {
	life := p.now().Lifetime
	return life > 0 && now.Sub(began) >= life
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
