package soak

import (
	"context"
	"slices"
	"time"
)

// hear does what a frame of the server asks for. False: the connection is of no use.
func (c *client) hear(ctx context.Context, s *socket, f frame) bool {
	switch f.Type {
	case "message":
		return c.deliver(f.message())
	case "ack":
		c.run.counts.acks.Add(1)
		c.mu.Lock()
		c.record.Acks = append(c.record.Acks, Ack{f.ID, f.Seq, f.At})
		c.mu.Unlock()
		c.settle(f.ID)
	case "nack":
		c.run.counts.nacks.Add(1)
		return c.nacked(ctx, s, f)
	case "session":
		c.session = f.Session
		if f.ExpiresIn > 0 {
			c.run.counts.refreshes.Add(1)
			c.expires = time.Now().Add(time.Duration(f.ExpiresIn) * time.Second)
			c.held = time.Time{}
		}
	case "ping":
		return s.say(frame{Type: "pong"}) == nil
	case "error":
		if f.Error.Code == "token_refused" || f.Error.Code == "token_expired" {
			c.run.counts.expiries.Add(1)
			c.token = ""
		}
	}
	return true
}

// deliver notes the next message. One that is not the next is noted too, and ends the
// connection: the web SDK would ask again, and Check is to hear of it.
func (c *client) deliver(m Message) bool {
	c.mu.Lock()
	at := len(c.record.Streams) - 1
	c.record.Streams[at].Messages = append(c.record.Streams[at].Messages, m)
	if m.Seq != c.last+1 || c.debts.take(m) != "" {
		c.lost = true
	}
	c.last = m.Seq
	lost := c.lost
	c.mu.Unlock()
	if m.From == "user" {
		c.settle(m.ID)
	}
	return !lost
}

// settle ends the wait for a message's outcome.
func (c *client) settle(id string) {
	c.outbox = slices.DeleteFunc(c.outbox, func(p *pending) bool { return p.id == id })
	c.mu.Lock()
	c.waits = len(c.outbox)
	c.mu.Unlock()
}

// nacked sends a message again, after a while, if that may help.
func (c *client) nacked(ctx context.Context, s *socket, f frame) bool {
	i := slices.IndexFunc(c.outbox, func(p *pending) bool { return p.id == f.ID })
	if i < 0 {
		return true
	}
	expired, final := f.Error.Code == "token_expired", f.Error.RetryAfter == 0
	c.note(f.ID, func(s *Send) { s.Delayed, s.Refused = true, final && !expired })
	switch {
	case expired:
		c.run.counts.expiries.Add(1)
		c.outbox[i].out = time.Time{}
		if c.held.After(time.Now()) {
			return true // a fresh token is on its way
		}
		c.token, c.held = "", time.Now().Add(giveUp)
		if c.habit == reconnect {
			return false
		}
		c.refresh(ctx, s)
	case final:
		c.settle(f.ID)
	default:
		c.outbox[i].out = time.Time{}
		c.held = time.Now().Add(time.Duration(f.Error.RetryAfter * float64(time.Second)))
	}
	return true
}
