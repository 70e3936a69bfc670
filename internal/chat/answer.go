package chat

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/trace"
)

// maxReplies is how many messages one answer may have.
const maxReplies = 32

// Reply commits what the bot answers to a turn, together with the turn's end. A turn
// that had ended before has its answer already, and this one counts for nothing.
// An answer that cannot be kept is fault.Invalid or fault.TooLarge.
func (e *Engine) Reply(ctx context.Context, t bot.Turn, a bot.Answer) error {
	if t.Kind == bot.Ended {
		a.Replies = nil // nobody is there, nor about to come back
	}
	drafts, err := draftReplies(a.Replies)
	if err != nil {
		return err
	}
	within, span := trace.Start(ctx, storeAppend)
	ms, ended, err := e.c.Store.FinishTurn(within, t, drafts, a.Context, e.now())
	e.stored(ctx, span, err)
	return e.finished(ctx, t, ms, ended, err)
}

func draftReplies(replies []bot.Reply) ([]Draft, error) {
	if len(replies) > maxReplies {
		return nil, fault.Newf(fault.TooLarge, "an answer must have at most %d messages", maxReplies)
	}
	drafts := make([]Draft, len(replies))
	for i, r := range replies {
		field := fmt.Sprintf("messages[%d]", i)
		if len(r.Body) > MaxBody {
			return nil, &fault.Error{Kind: fault.TooLarge, Field: field, Msg: fmt.Sprintf("must have at most %d bytes", MaxBody)}
		}
		if !json.Valid(r.Body) {
			return nil, fault.BadField(field, "must be JSON")
		}
		drafts[i] = Draft{ID: cmp.Or(r.ID, bot.NewReplyID()), From: FromBot, Body: r.Body}
	}
	return drafts, nil
}

// GiveUp ends a turn without an answer, and says so unless nobody asked. The store
// keeps the turn with the reason.
func (e *Engine) GiveUp(ctx context.Context, t bot.Turn, reason string) error {
	var drafts []Draft
	if t.Kind == bot.Message {
		drafts = []Draft{{
			ID: "system_" + randomName(), From: FromSystem,
			Body: json.RawMessage(`{"text":"The bot could not answer this message."}`),
		}}
	}
	within, span := trace.Start(ctx, storeAppend)
	ms, ended, err := e.c.Store.DropTurn(within, t, reason, drafts, e.now())
	e.stored(ctx, span, err)
	return e.finished(ctx, t, ms, ended, err)
}

// Stream shows the sessions of a turn's conversation a part of an answer that is being
// made. The answer has it all, under the same id.
func (e *Engine) Stream(ctx context.Context, t bot.Turn, d bot.Delta) {
	e.hint(ctx, ID(t.Conversation), event{Delta: &delta{d.ID, d.Text}})
}

// Typing tells the sessions of a turn's conversation that the bot is at work.
func (e *Engine) Typing(ctx context.Context, t bot.Turn) {
	e.hint(ctx, ID(t.Conversation), event{Typing: FromBot})
}

// hint tells all sessions of a conversation what is not stored.
func (e *Engine) hint(ctx context.Context, id ID, ev event) {
	e.tell(ctx, id, func(r *room) { r.hint(ev) }, ev)
}

// finished tells of what the commit that ended a turn has added.
func (e *Engine) finished(ctx context.Context, t bot.Turn, ms []Message, ended bool, err error) error {
	if err == nil && ended {
		e.party(t.Bot).owed.Add(-1)
	}
	if err != nil || !ended || len(ms) == 0 {
		return err
	}
	e.tell(ctx, ID(t.Conversation), func(r *room) { r.deliver(ms) }, said(ms))
	return nil
}

// tell has the room of a conversation know what was done, and then the other nodes.
func (e *Engine) tell(ctx context.Context, id ID, f func(*room), ev event) {
	if r := e.room(id); r != nil {
		r.mu.Lock()
		f(r)
		r.mu.Unlock()
	}
	e.publish(ctx, id, ev)
}

// room is nil if the conversation has no session on this node, and no work to do.
func (e *Engine) room(id ID) *room {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rooms[id]
}
