package chat

import "context"

// Visit opens a session of a conversation of u's for what one request says: s is told
// what becomes of it, and of nothing else as long as [Session.Ready] is not called.
func (e *Engine) Visit(ctx context.Context, u User, id ID, s Sink) (*Session, error) {
	c, err := e.own(ctx, u, id)
	if err != nil {
		return nil, err
	}
	return e.attach(c, FromNow, s)
}
