package chat

import (
	"context"
	"time"

	"github.com/carnetproject/carnet/internal/socket"
)

// The clocks of a connection.
const (
	sweepEvery   = time.Second
	helloTimeout = 10 * time.Second
	expiryGrace  = time.Minute // from a token's expiry to the end
)

// Run looks after the connections until ctx ends: it pings them, and closes those that
// say no hello, are silent, have not renewed their token, or live by one that was
// revoked. A connection has no timer of its own.
func (h *Handler) Run(ctx context.Context) error {
	tick, look := time.NewTicker(sweepEvery), time.NewTicker(recheckEvery)
	defer tick.Stop()
	defer look.Stop()
	for epoch := uint64(0); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			h.sweep()
		case <-look.C:
			epoch = h.recheck(epoch)
		}
	}
}

func (h *Handler) sweep() {
	age, now := h.age(), h.c.Clock().UnixNano()
	h.conns.Each(func(c *conn) { c.check(age, now) })
}

// check does for the connection what is due.
func (c *conn) check(age time.Duration, now int64) {
	p := c.pass.Load()
	pingEvery := c.h.c.PingInterval
	if c.deaf { // the client does not ask: it is told in time that the line lives
		pingEvery -= pingEvery / 5
	}
	switch {
	case !c.greeted.Load() && age-c.opened >= helloTimeout:
		c.end(closeHelloTimeout, wireError{Code: "hello_timeout", Title: "hello must come within 10 seconds"})
	case !c.deaf && age-time.Duration(c.seen.Load()) >= 2*c.h.c.PingInterval:
		c.out.Cut() // nobody is there to be told
	case p != nil && now-p.expires >= int64(expiryGrace):
		c.end(closeTokenRefused, tokenExpired)
	case age-c.pinged >= pingEvery:
		c.pinged = age
		c.push(socket.Ping, nil)
	}
}

// The pace of a connection's frames, of all kinds: 200 a second, and 400 at once.
const (
	frameEvery  = time.Second / 200
	framesBurst = 400
)
