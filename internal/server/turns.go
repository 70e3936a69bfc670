package server

import (
	"context"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
)

// Turns are those that wait for their bots, and those that were given up: a bot owed an
// answer, and none came in time.
type Turns struct {
	store store
	clock func() time.Time
}

// Turns are the node's.
func (c *Core) Turns() Turns { return Turns{c.store, c.now} }

// Waiting returns how many turns have not ended, of bots that owe one or more.
func (t Turns) Waiting(ctx context.Context) (map[bot.ID]int64, error) {
	return t.store.WaitingTurns(ctx)
}

// List returns turns of a bot ("": of all) that were given up, of ids greater than after,
// oldest first.
func (t Turns) List(ctx context.Context, of bot.ID, after int64, limit int) ([]bot.Dead, error) {
	return t.store.DeadTurns(ctx, of, after, limit)
}

// Find returns the turn of an id, or a fault of kind NotFound.
func (t Turns) Find(ctx context.Context, id int64) (bot.Dead, error) {
	return t.store.DeadTurn(ctx, id)
}

// Retry has the bot called again, before all that waits in the conversation. Running
// nodes see it within a second.
func (t Turns) Retry(ctx context.Context, id int64) error {
	return t.store.RetryDead(ctx, id, t.clock())
}

// Drop forgets the turn.
func (t Turns) Drop(ctx context.Context, id int64) error { return t.store.DropDead(ctx, id) }
