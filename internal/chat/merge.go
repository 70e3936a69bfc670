package chat

import "context"

// Merge makes the conversations of from those of to, in one commit: whoever calls it has
// seen that both agree. Of the two users' conversations with a bot the one that began
// last is current from then on. Sessions of from that are open end with [Sink.Moved].
// It may be called again, and moves then what from has begun since.
func (e *Engine) Merge(ctx context.Context, from, to User) error {
	if from == to {
		return nil
	}
	moved, err := e.c.Store.MoveConversations(ctx, from, to)
	e.storeTrouble.note(ctx, err)
	if err != nil {
		return err
	}
	for id, moves := range moved {
		e.tell(ctx, id, func(r *room) { r.move(moves) }, event{Moves: moves})
	}
	return nil
}
