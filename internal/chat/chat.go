// Package chat carries conversations: it brings messages into one order, keeps them
// for good, and tells every connection of the conversation.
package chat

import (
	"encoding/json"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
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
	LastSeq int64           // of the newest message; 0: none yet
	ReadSeq int64           // how far the user has read
	Created time.Time
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
