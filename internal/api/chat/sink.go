package chat

import (
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
)

// What a session tells its connection. None of these blocks.
var _ chat.Sink = (*conn)(nil)

// Message tells of the next message.
func (c *conn) Message(m chat.Message) {
	c.tell(toMessage(m))
}

// Ack tells that a send is committed.
func (c *conn) Ack(id string, seq int64, at time.Time) {
	c.tell(ackFrame{"ack", id, seq, at.UTC().Format(timeFormat)})
}

// Nack tells that a send is refused.
func (c *conn) Nack(id string, e *fault.Error) { c.tell(nackFrame{"nack", id, toWire(e)}) }

// Typing tells that somebody else is typing.
func (c *conn) Typing(from chat.From) { c.tell(markFrame{Type: "typing", From: from}) }

// Read tells how far the user has read elsewhere.
func (c *conn) Read(seq int64) { c.tell(markFrame{Type: "read", Seq: &seq}) }

// Reconnect closes the connection and says when to come back.
func (c *conn) Reconnect(after time.Duration) {
	c.end(closeGoingAway, wireError{
		Code: "going_away", Title: "the server is going away: connect again", RetryAfter: seconds(after),
	})
}

// Free is how many old messages the connection has room for.
func (c *conn) Free() int { return c.out.free() }
