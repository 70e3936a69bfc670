package chat

import (
	"context"
	"net/netip"
)

// Visit opens a session of a conversation of u's for what one request from addr says: s is told
// what becomes of it, and of nothing else as long as [Session.Ready] is not called.
func (e *Engine) Visit(ctx context.Context, u User, id ID, addr netip.Addr, s Sink) (*Session, error) {
	c, err := e.own(ctx, u, id)
	if err != nil {
		return nil, err
	}
	session, err := e.attach(c, FromNow, s)
	if err != nil {
		return nil, err
	}
	session.addr = addr
	return session, nil
}
