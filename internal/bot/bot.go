// Package bot answers conversations: it calls the bot that a committed turn is owed
// to, in conversation order, until the turn has its answer.
package bot

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/trace"
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
	// Of the hooks, which come to bots that ask for them; see [Policy.Hooks].
	Offline Kind = "offline" // the user has no connection any more
	Ended   Kind = "ended"   // and has had none for so long that the session is over
)

// Hook tells whether k is of something that the bot is only told of.
func (k Kind) Hook() bool { return k == Offline || k == Ended }

// HookID is the [Turn.MessageID] of what happened to a conversation at a time.
func HookID(k Kind, at time.Time) string { return fmt.Sprintf("%s-%d", k, at.UnixMilli()) }

// Turn is one answer that a bot owes. It is committed together with what it answers
// and ends together with the answer, so that neither is lost or doubled.
type Turn struct {
	Conversation string
	Seq          int64 // of the message it answers; of a hook that of the newest before; 0 for a welcome
	Bot          ID
	Kind         Kind
	MessageID    string          // the idempotency key: the user's message id, "welcome", or a [HookID]
	Body         json.RawMessage // of the message; nil if there is none
	At           time.Time       // when the message was committed, or what else there is happened
	User         User
	Context      json.RawMessage // the conversation's, one object
	Attempt      int             // how often it was leased, this time included
	// Again is when a turn that had been given up was put back; zero if it never was.
	Again time.Time
	// Cause is what the turn was committed in. It is not stored: only the worker knows it
	// that was hired for the turn.
	Cause trace.Cause
}

// since is when the time began that the bot has for the turn.
func (t Turn) since() time.Time {
	if t.Again.After(t.At) {
		return t.Again
	}
	return t.At
}

// Reply is one message of an answer.
type Reply struct {
	Body json.RawMessage // e.g. {"text":"…"}
	ID   string          // what its [Delta]s were told under; empty: there were none
}

// Delta is a part of the text of a [Reply] that is being made.
type Delta struct {
	ID   string // the reply's, from [NewReplyID]
	Text string // what follows on the text so far
}

// NewReplyID is an id that no client can take in advance.
func NewReplyID() string { return "bot_" + strings.ToLower(rand.Text()) }

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

// Streamer is a bot that tells of its answer while it makes it. What it tells is shown
// and forgotten: what counts is the answer. If it fails after having told something, its
// next try begins anew, under other ids. tell neither fails nor is called afterwards.
type Streamer interface {
	Bot
	Stream(ctx context.Context, t Turn, tell func(Delta)) (Answer, error)
}

// Registry has the bots by their names.
type Registry map[ID]*Entry

// Entry is a bot, and how its turns are worked on. It never changes: a bot that does has
// another one.
type Entry struct {
	Bot    Bot
	Policy Policy
}

// Dead is a turn that was given up.
type Dead struct {
	ID     int64 // grows with time
	Turn   Turn  // Attempt is how often the bot was called
	Reason string
	Since  time.Time // when it was given up
}

// MaxDead and DeadFor bound what is kept of turns that were given up: the newest ones,
// and none for longer.
const (
	MaxDead = 10_000
	DeadFor = 30 * 24 * time.Hour
)
