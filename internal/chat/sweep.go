package chat

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// sweepBatch is how many conversations one query asks for.
const sweepBatch = 1000

// sweep asks the store how far the live conversations have come, for what the bus has
// lost, and goes on with what had stopped.
func (e *Engine) sweep(ctx context.Context) {
	for rooms := range slices.Chunk(e.live(), sweepBatch) {
		ids := make([]ID, len(rooms))
		for i, r := range rooms {
			ids[i] = r.id
		}
		stands, err := e.c.Store.Stands(ctx, ids)
		e.storeTrouble.note(ctx, err)
		if err != nil {
			return
		}
		for _, r := range rooms {
			r.saw(stands[r.id])
		}
	}
}

// live are the rooms that somebody is in.
func (e *Engine) live() []*room {
	e.mu.Lock()
	defer e.mu.Unlock()
	rooms := make([]*room, 0, len(e.rooms))
	for _, r := range e.rooms {
		if r.refs > 0 {
			rooms = append(rooms, r)
		}
	}
	return rooms
}

// Clients of a node that goes away come back spread over a time that grows with their
// number, so that the nodes that are left see no more than reconnectRate of them a
// second as long as maxSpread allows.
const (
	reconnectRate = 500
	minSpread     = time.Second
	maxSpread     = 30 * time.Second
)

// Drain opens no session any more, tells every session to reconnect, and returns when
// they are all closed or ctx ends.
func (e *Engine) Drain(ctx context.Context) {
	e.mu.Lock()
	if e.drained == nil {
		e.drained = make(chan struct{})
		e.draining.Store(true)
		if e.sessions == 0 {
			close(e.drained)
		}
	}
	drained, n := e.drained, e.sessions
	e.mu.Unlock()

	spread := min(max(time.Duration(n)*time.Second/reconnectRate, minSpread), maxSpread)
	for _, r := range e.live() {
		r.mu.Lock()
		r.tell(nil, func(k Sink) { k.Reconnect(rand.N(spread)) })
		r.mu.Unlock()
	}
	select {
	case <-drained:
	case <-ctx.Done():
	}
}
