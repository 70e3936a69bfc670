package chat

import (
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
	"github.com/carnetproject/carnet/internal/wire"
)

// What a session tells its connection. None of these blocks.
var _ chat.Sink = (*conn)(nil)

// Message tells of the next message.
func (c *conn) Message(m chat.Message) {
	c.tell(toMessage(m))
}

// Ack tells that a send is committed.
func (c *conn) Ack(id string, seq int64, at time.Time) {
	c.tell(ackFrame{"ack", id, seq, wire.Time(at)})
}

// Nack tells that a send is refused.
func (c *conn) Nack(id string, e *fault.Error) { c.tell(nackFrame{"nack", id, toWire(e)}) }

// Typing tells that somebody else is typing.
func (c *conn) Typing(from chat.From) { c.tell(markFrame{Type: "typing", From: from}) }

// Delta tells a part of a message that is being written. Where the queue is full it is
// left out, and what follows of the same message, too: a text with holes is worse than a
// short one, and neither is worth the connection.
func (c *conn) Delta(id, text string) {
	if id == c.unheard {
		return
	}
	if c.Free() == 0 {
		c.unheard = id
		return
	}
	c.tell(deltaFrame{"delta", id, text})
}

// Read tells how far the user has read elsewhere.
func (c *conn) Read(seq int64) { c.tell(markFrame{Type: "read", Seq: &seq}) }

// Secure tells where the user stands.
func (c *conn) Secure(n securesession.Notice) {
	reason := n.Reason
	if n.Standing == securesession.Secured {
		reason = "allowed"
	}
	c.tell(secureFrame{"secure", n.Standing, reason, n.Message, seconds(n.RetryAfter)})
}

// Moved closes the connection: what follows is for the user that it was merged into.
func (c *conn) Moved() {
	c.end(closeTokenRefused, wireError{
		Code: "merged", Title: "the conversation is a signed-in user's now: connect with that user's token",
	})
}

// Reconnect closes the connection and says when to come back.
func (c *conn) Reconnect(after time.Duration) {
	c.end(closeGoingAway, wireError{
		Code: "going_away", Title: "the server is going away: connect again", RetryAfter: seconds(after),
	})
}

// Free is how many old messages the connection has room for.
func (c *conn) Free() int { return c.out.Free(maxFrame) }
