// Package chat carries conversations: it brings messages into one order, keeps them
// for good, and tells every connection of the conversation.
//
// The store is the truth and the bus a hint. A message is acknowledged when it is
// committed, and from then on every session of the conversation gets it exactly once
// and in order: a session takes only the message that follows its last one, and what
// is missing in between is read from the store. An event that is lost, doubled or
// late costs time, never a message.
package chat

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
)

// ID names a conversation: random, never reused.
type ID string

// User is who a conversation belongs to.
type User = bot.User

// From says who wrote a message.
type From string

// The writers of messages.
const (
	FromUser   From = "user"
	FromBot    From = "bot"
	FromSystem From = "system"
)

// Conversation is one user's exchange with one bot.
type Conversation struct {
	ID      ID
	Bot     bot.ID
	User    User
	Context json.RawMessage // one object of at most MaxContext bytes
	Owned   []string        // the members of Context that are the server's, sorted
	LastSeq int64           // of the newest message; 0: none yet
	ReadSeq int64           // how far the user has read
	Created time.Time
	Moves   int64 // how often it has become another user's
}

// Stand is what may have changed of a conversation while nobody told.
type Stand struct {
	Last  int64 // the number of the newest message
	Moves int64 // see Conversation.Moves
}

// Draft is a message that has no place in the order yet.
type Draft struct {
	ID   string // the writer's own, unique in the conversation
	From From
	Body json.RawMessage
}

// Message is a committed message. Sequence numbers of a conversation begin at 1 and
// have no gap.
type Message struct {
	Seq  int64
	ID   string
	From From
	Body json.RawMessage
	At   time.Time // whole milliseconds
}

// The bounds of what comes in.
const (
	MaxBody    = 60 << 10 // bytes of a message's JSON
	MaxContext = 10 << 10 // bytes of a conversation's context
	MaxID      = 64       // bytes of a message id
)

// FromNow is the [Hello.After] of who wants nothing but what is said from now on.
const FromNow int64 = -1

// Hello is what a session begins with. User and Bot are required.
type Hello struct {
	User User
	Bot  bot.ID
	// Conversation is the one to go on with. Empty, or one that has ended: the user's
	// newest with the bot, or a new one if there is none, which the bot then welcomes the
	// user to.
	Conversation ID
	After        int64           // of the last message the client has of it, 0 for none; or FromNow
	Context      json.RawMessage // merged into the conversation's, see [Greeting]; nil: nothing
	// Past is the page's part of the context of Conversation, as the client has it. If the
	// conversation is gone the user goes on as if none were named, and a new one begins
	// with it. Nil: a conversation that is gone is an error.
	Past json.RawMessage
	// New begins another conversation. Conversation is empty then.
	New  bool
	Addr netip.Addr // where the user is, see [Ask]
}

// Sink is the connection of a session, which is told what happens. Its methods are
// called one at a time and with a lock held, so they must neither block nor call the
// session: they put what they are given into a queue, and close the connection when
// that is full. After [Session.Close] has returned none is called.
type Sink interface {
	Message(m Message)
	Ack(id string, seq int64, at time.Time)
	Nack(id string, e *fault.Error)
	Typing(from From)
	Read(seq int64)
	// Delta is a part of the text of a message that is being written. It may be lost:
	// the message has it all.
	Delta(id, text string)
	// Moved says that the conversation has become another user's, see [Engine.Merge], and
	// closes the connection for good.
	Moved()
	// Secure says where the user stands with a bot that takes messages only of those whom
	// an API vouches for.
	Secure(n securesession.Notice)
	// Reconnect asks the client to come back after the time given, to this node or
	// another, and closes the connection.
	Reconnect(after time.Duration)
	// Free is how many messages the queue has room for. A session that is behind is
	// given no more than that, until [Session.Ready] says that there is room again.
	Free() int
}
