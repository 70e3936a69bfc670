package bot

import (
	"context"
	"fmt"

	"github.com/carnetproject/carnet/internal/wire"
)

// Echo is a bot that says what it hears.
type Echo struct {
	Greeting string // default: one that explains itself
}

// Answer repeats the message's body, and greets a new conversation.
func (e Echo) Answer(_ context.Context, t Turn) (Answer, error) {
	if t.Kind != Welcome {
		return Answer{Replies: []Reply{{Body: t.Body}}}, nil
	}
	greeting := e.Greeting
	if greeting == "" {
		greeting = "Hello! I say what you say."
	}
	return say(text{Text: greeting})
}

// text is the body that the built-in bots speak and understand.
type text struct {
	Text         string   `json:"text"`
	QuickReplies []string `json:"quick_replies,omitempty"` // texts that the user may answer with at a touch
}

// say is an answer of one message.
func say(t text) (Answer, error) {
	body, err := wire.JSON(t)
	if err != nil {
		return Answer{}, fmt.Errorf("write reply: %w", err)
	}
	return Answer{Replies: []Reply{{Body: body}}}, nil
}
