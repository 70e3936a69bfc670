package chat

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
)

// maxReplies is how many messages one answer may have.
const maxReplies = 32

// Reply commits what the bot answers to a turn, together with the turn's end. A turn
// that had ended before has its answer already, and this one counts for nothing.
// An answer that cannot be kept is fault.Invalid or fault.TooLarge.
func (e *Engine) Reply(ctx context.Context, t bot.Turn, a bot.Answer) error {
	drafts, err := draftReplies(a.Replies)
	if err != nil {
		return err
	}
	if len(a.Context) == 0 {
		return e.finish(ctx, t, drafts, nil)
	}
	return e.mergeContext(ctx, ID(t.Conversation), a.Context, func(_ Conversation, merged json.RawMessage) error {
		return e.finish(ctx, t, drafts, merged)
	})
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
		// A random id, so that no client can take it in advance.
		drafts[i] = Draft{ID: "bot_" + randomName(), From: FromBot, Body: r.Body}
	}
	return drafts, nil
}

// GiveUp ends a turn without an answer, and says so unless nobody asked.
func (e *Engine) GiveUp(ctx context.Context, t bot.Turn) error {
	var drafts []Draft
	if t.Kind == bot.Message {
		drafts = []Draft{{
			ID: "system_" + randomName(), From: FromSystem,
			Body: json.RawMessage(`{"text":"The bot could not answer this message."}`),
		}}
	}
	return e.finish(ctx, t, drafts, nil)
}

// Typing tells the sessions of a turn's conversation that the bot is at work.
func (e *Engine) Typing(ctx context.Context, t bot.Turn) {
	id := ID(t.Conversation)
	if r := e.room(id); r != nil {
		r.mu.Lock()
		r.tell(nil, func(k Sink) { k.Typing(FromBot) })
		r.mu.Unlock()
	}
	e.publish(ctx, id, event{Typing: FromBot})
}

func (e *Engine) finish(ctx context.Context, t bot.Turn, drafts []Draft, object json.RawMessage) error {
	ms, ended, err := e.c.Store.FinishTurn(ctx, t, drafts, object, e.now())
	e.storeTrouble.note(ctx, err)
	if err != nil || !ended || len(ms) == 0 {
		return err
	}
	id := ID(t.Conversation)
	if r := e.room(id); r != nil {
		r.mu.Lock()
		r.deliver(ms)
		r.mu.Unlock()
	}
	e.publish(ctx, id, said(ms))
	return nil
}

// room is nil if the conversation has no session on this node.
func (e *Engine) room(id ID) *room {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rooms[id]
}
