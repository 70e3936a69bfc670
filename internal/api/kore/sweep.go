package kore

import (
	"context"
	"time"
)

const (
	sweepEvery   = time.Second
	recheckEvery = 100 * time.Millisecond // how soon a socket ends when its token is revoked
)

// Run looks after the connections until ctx ends: it pings them, and ends those that are
// silent, or live by a token that was revoked. A connection has no timer of its own. A
// token that expires ends none: it is needed to begin.
func (h *Handler) Run(ctx context.Context) error {
	tick, look := time.NewTicker(sweepEvery), time.NewTicker(recheckEvery)
	defer tick.Stop()
	defer look.Stop()
	for epoch := uint64(0); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			age := h.age()
			h.conns.Each(func(c *conn) { c.check(age) })
		case <-look.C:
			epoch = h.recheck(epoch)
		}
	}
}

// check does for the connection what is due.
func (c *conn) check(age time.Duration) {
	switch {
	case age-time.Duration(c.seen.Load()) >= 2*c.h.c.PingInterval:
		c.sock.Cut() // nobody is there to be told
	case age-c.pinged >= c.h.c.PingInterval:
		c.pinged = age
		c.ping()
	}
}

// recheck ends the connections whose tokens were revoked since the epoch given, and
// returns the present one.
func (h *Handler) recheck(epoch uint64) uint64 {
	list := h.c.Revocations
	if list == nil || list.Epoch() == epoch {
		return epoch
	}
	epoch = list.Epoch() // before the look, so that a change in between shows
	h.conns.Each(func(c *conn) {
		if h.revoked(c.grant) {
			c.sock.end(1008)
		}
	})
	return epoch
}

// enter puts an admitted connection among those that are looked after.
func (h *Handler) enter(c *conn) {
	c.pinged = h.age()
	c.seen.Store(int64(c.pinged))
	if !h.conns.Enter(c) {
		c.sock.end(1001)
	}
}

// Shutdown takes no more connections, closes those there are, and returns when they are
// gone. Those that are left when ctx ends are cut. So are requests that wait.
func (h *Handler) Shutdown(ctx context.Context) {
	h.conns.Shutdown(ctx, func(c *conn) { c.sock.end(1001) }, func(c *conn) { c.sock.Cut() })
	h.waiting.Shutdown(ctx, (*ear).leave, (*ear).cut)
}

// The pace of a connection's frames, of all kinds: 200 a second, and 400 at once.
const (
	frameEvery  = time.Second / 200
	framesBurst = 400
)
