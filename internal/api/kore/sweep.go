package kore

import (
	"context"
	"net/netip"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
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
			h.each(func(c *conn) { c.check(age) })
		case <-look.C:
			epoch = h.recheck(epoch)
		}
	}
}

// check does for the connection what is due.
func (c *conn) check(age time.Duration) {
	switch {
	case age-time.Duration(c.seen.Load()) >= 2*c.h.c.PingInterval:
		c.sock.cut() // nobody is there to be told
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
	h.each(func(c *conn) {
		if h.revoked(c.grant) {
			c.sock.end(1008)
		}
	})
	return epoch
}

func (h *Handler) each(f func(*conn)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.conns {
		f(c)
	}
}

// retryConnect is when to try again to connect.
const retryConnect = 5 * time.Second

func unavailable(msg string) error {
	return &fault.Error{Kind: fault.Unavailable, Msg: msg, RetryAfter: retryConnect}
}

// admit counts a connection from addr in. One that is admitted leaves.
func (h *Handler) admit(addr netip.Addr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.away:
		return unavailable("the server is going away")
	case h.total >= h.c.Total:
		return unavailable("the server has all the connections that it can take")
	case h.perAddr[addr] >= h.c.PerAddr:
		return unavailable("too many connections from this address")
	}
	h.total++
	h.perAddr[addr]++
	h.readers.Add(1)
	return nil
}

// enter puts an admitted connection among those that are looked after.
func (h *Handler) enter(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	age := h.age()
	c.seen.Store(int64(age))
	c.pinged = age
	h.conns[c] = struct{}{}
	if h.away {
		c.sock.end(1001)
	}
}

// leave undoes admit, and enter if that was called.
func (h *Handler) leave(addr netip.Addr, c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
	h.total--
	if h.perAddr[addr]--; h.perAddr[addr] == 0 {
		delete(h.perAddr, addr)
	}
	h.readers.Done()
}

// Shutdown takes no more connections, closes those there are, and returns when they are
// gone. Those that are left when ctx ends are cut.
func (h *Handler) Shutdown(ctx context.Context) {
	h.mu.Lock()
	h.away = true
	h.mu.Unlock()
	h.each(func(c *conn) { c.sock.end(1001) })
	gone := make(chan struct{})
	go func() {
		h.readers.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-ctx.Done():
		h.each(func(c *conn) { c.sock.cut() })
		<-gone
	}
}

// The pace of a connection's frames, of all kinds: 200 a second, and 400 at once.
const (
	frameEvery  = time.Second / 200
	framesBurst = 400
)
