// Package bot answers conversations: it calls the bot that a committed turn is owed
// to, in conversation order, until the turn has its answer.
package bot

import (
	"context"
	"encoding/json"
	"time"
)

// ID is a bot's configured name, e.g. "echo".
type ID string

// User is who talks: the pair that names a user everywhere.
type User struct{ Issuer, Subject string }

// Kind is why a bot is called.
type Kind string

// The kinds of turns.
const (
	Message Kind = "message" // the user said something
	Welcome Kind = "welcome" // a conversation begins
)

// Turn is one answer that a bot owes. It is committed together with what it answers
// and ends together with the answer, so that neither is lost or doubled.
type Turn struct {
	Conversation string
	Seq          int64 // of the message it answers; 0 for a welcome
	Bot          ID
	Kind         Kind
	MessageID    string          // the idempotency key: the user's message id, "welcome" for a welcome
	Body         json.RawMessage // of the message; nil for a welcome
	At           time.Time       // when the message was committed
	User         User
	Context      json.RawMessage // the conversation's, one object
	Attempt      int             // how often it was leased, this time included
}

// Reply is one message of an answer.
type Reply struct {
	Body json.RawMessage // e.g. {"text":"…"}
}

// Answer is what a bot says to a turn. No reply at all is an answer too.
type Answer struct {
	Replies []Reply
	// Context, an object, is merged into the conversation's: a member takes the place
	// of the one before, and one that is null goes. Nil: unchanged.
	Context json.RawMessage
}

// Bot answers turns. A turn may come again with the same MessageID: the answer that
// is committed first counts. Answer returns soon after ctx has ended. Safe for
// concurrent use.
type Bot interface {
	Answer(ctx context.Context, t Turn) (Answer, error)
}

// Registry has the bots by their names.
type Registry map[ID]Bot
