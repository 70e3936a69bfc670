package chat

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/trace"
)

// PushContext is [Engine.SetServerContext] for the bot of a conversation. Another bot's is
// not found, like one that does not exist.
func (e *Engine) PushContext(ctx context.Context, of bot.ID, to ID, set json.RawMessage) error {
	c, err := e.ofBot(ctx, of, to)
	if err != nil {
		return err
	}
	return e.mergeContext(ctx, &c, set, Server)
}

// ofBot is the conversation if it is with the bot.
func (e *Engine) ofBot(ctx context.Context, of bot.ID, id ID) (Conversation, error) {
	c, err := e.c.Store.FindConversation(ctx, id)
	if fault.KindOf(err) == fault.NotFound || err == nil && c.Bot != of {
		return Conversation{}, fault.New(fault.NotFound, "there is no such conversation")
	}
	return c, err
}

// Push commits a message that the bot of a conversation says unasked, and returns it. A
// message that the bot has pushed under the same id before is returned as it is. Another
// bot's conversation is not found, like one that does not exist. Without an id the
// message gets one.
func (e *Engine) Push(ctx context.Context, of bot.ID, to ID, id string, body json.RawMessage) (Message, error) {
	if id != "" && !validID(id) {
		return Message{}, fault.BadField("id", fmt.Sprintf("must be 1 to %d of A-Z, a-z, 0-9, _ and -", MaxID))
	}
	switch {
	case len(body) == 0 || string(body) == "null" || !json.Valid(body):
		return Message{}, fault.BadField("body", "must be a JSON value that is not null")
	case len(body) > MaxBody:
		return Message{}, &fault.Error{Kind: fault.TooLarge, Field: "body", Msg: fmt.Sprintf("must have at most %d bytes", MaxBody)}
	}
	c, err := e.ofBot(ctx, of, to)
	if err == nil && e.party(of).ended(c.Created, e.now()) {
		if _, err = e.c.Store.FindMessage(ctx, to, id); fault.KindOf(err) == fault.NotFound {
			err = errEnded
		}
	}
	if err != nil {
		return Message{}, err
	}
	d := Draft{ID: cmp.Or(id, bot.NewReplyID()), From: FromBot, Body: body}
	within, span := trace.Start(ctx, storeAppend)
	ms, _, err := e.c.Store.AppendMessages(within, to, []Draft{d}, e.now(), time.Time{})
	e.stored(ctx, span, err)
	if err != nil {
		return Message{}, err
	}
	if ms[0].From != FromBot {
		return Message{}, &fault.Error{Kind: fault.Conflict, Field: "id", Msg: "is that of another's message"}
	}
	e.tell(ctx, to, func(r *room) { r.deliver(ms) }, said(ms))
	return ms[0], nil
}
