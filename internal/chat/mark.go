package chat

import "context"

// MarkRead notes that u has read up to seq, without a session, and returns when that is
// committed. The mark never moves backwards, nor past the newest message.
func (e *Engine) MarkRead(ctx context.Context, u User, id ID, seq int64) error {
	c, err := e.own(ctx, u, id)
	if err != nil {
		return err
	}
	if seq = min(seq, c.LastSeq); seq <= c.ReadSeq {
		return nil
	}
	err = e.c.Store.SetRead(ctx, id, seq)
	e.storeTrouble.note(ctx, err)
	if err != nil {
		return err
	}
	e.tell(ctx, id, func(r *room) { r.wasRead(seq) }, event{Read: seq})
	return nil
}

// wasRead takes a mark that the store has.
func (r *room) wasRead(seq int64) {
	if seq <= r.read {
		return
	}
	r.read, r.saved = seq, max(r.saved, seq)
	r.tell(nil, func(k Sink) { k.Read(seq) })
}
