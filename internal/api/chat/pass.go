package chat

import (
	"time"

	"github.com/carnetproject/carnet/internal/revocation"
)

// revocations tells which tokens were taken back.
type revocations interface {
	Epoch() uint64
	Revoked(t revocation.Token) bool
}

// recheckEvery is how soon a connection ends when its token is revoked.
const recheckEvery = 100 * time.Millisecond

// pass is the token that a connection lives by. It never changes.
type pass struct {
	token   revocation.Token
	expires int64 // nanoseconds of the epoch
}

// live makes id's token the one that the connection lives by. The list is asked once
// more: what was revoked since the token was verified has not found it here.
func (c *conn) live(id Identity) *refusal {
	p := &pass{id.Token, id.Expires.UnixNano()}
	c.pass.Store(p)
	if list := c.h.c.Revocations; list != nil && list.Revoked(p.token) {
		return &refusal{close: closeTokenRefused, wire: tokenRefused}
	}
	return nil
}

// expired tells whether the token has come to its end: the client is told what happens, and
// may say nothing.
func (c *conn) expired() bool { return c.h.c.Clock().UnixNano() >= c.pass.Load().expires }

// expiresIn is how long the token lasts, in whole seconds.
func (c *conn) expiresIn() int64 {
	left := time.Duration(c.pass.Load().expires - c.h.c.Clock().UnixNano())
	return max(0, int64(left/time.Second))
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
		if p := c.pass.Load(); p != nil && list.Revoked(p.token) {
			c.end(closeTokenRefused, tokenRefused)
		}
	})
	return epoch
}
