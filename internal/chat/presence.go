package chat

import (
	"context"
	"slices"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
)

// A session of a user in a conversation begins with a connection to any node. Nodes note
// every seeEvery who is connected, so that it makes no difference whether a connection
// ends or its node dies: what is noted grows old. No conversation has a timer.
const (
	seeEvery     = 10 * time.Second
	offlineAfter = 30 * time.Second // who comes back within is not told to have gone
	// Of one statement, so that no message waits long behind it.
	seeBatch   = 250
	lapseBatch = 200
)

// watch looks who is there until ctx ends, while any bot wants to know.
func (e *Engine) watch(ctx context.Context) {
	tick := time.NewTicker(seeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !e.see(ctx) {
			continue // whoever cannot say who is there does not say who is not
		}
		e.parties.Range(func(_, p any) bool {
			with := p.(*party)
			if t := with.now(); t.Hooks && !t.gone {
				e.lapse(ctx, with, bot.Offline, offlineAfter)
				e.lapse(ctx, with, bot.Ended, t.SessionTimeout)
			}
			return true
		})
	}
}

// see notes who is connected to this node, and is false if it could not.
func (e *Engine) see(ctx context.Context) bool {
	var ids []ID
	for _, r := range e.live() {
		if r.with.now().Hooks {
			ids = append(ids, r.id)
		}
	}
	for batch := range slices.Chunk(ids, seeBatch) {
		if !e.saw(ctx, batch...) {
			return false
		}
	}
	return true
}

func (e *Engine) saw(ctx context.Context, ids ...ID) bool {
	err := e.c.Store.Saw(ctx, ids, e.now())
	e.storeTrouble.note(ctx, err)
	return err == nil
}

// lapse has a bot told of all who have been away for so long. A bot that is behind is told
// later, so that no message is refused for the sake of hooks.
func (e *Engine) lapse(ctx context.Context, p *party, hook bot.Kind, away time.Duration) {
	for n := lapseBatch; n == lapseBatch && p.owed.Load() <= int64(p.now().Waiting)/2; {
		var err error
		n, err = e.c.Store.Lapse(ctx, p.bot, hook, away, e.now(), lapseBatch)
		e.storeTrouble.note(ctx, err)
		if err == nil && n > 0 {
			p.owed.Add(int64(n))
			e.c.Wake(p.bot)
		}
	}
}
