package kore

import (
	"encoding/json"
	"html"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
)

// What a session tells its connection. None of these blocks.
var _ chat.Sink = (*conn)(nil)

// Message tells of the next message, but for the tab's own: the SDK draws those when the
// user sends them, and would again.
func (c *conn) Message(m chat.Message) {
	switch {
	case m.From != chat.FromUser:
		c.tell(newResponse(c.grant, c.conversation(), m))
	case c.tab.draws(c, m):
		c.tell(newUserMessage(m))
	}
	c.ask(m.Seq)
}

// Ack tells that a send is committed.
func (c *conn) Ack(id string, _ int64, _ time.Time) {
	replyTo := json.RawMessage(id)
	if _, err := strconv.ParseInt(id, 10, 64); err != nil || id[0] == '0' || id[0] == '-' {
		replyTo = json.RawMessage(strconv.Quote(id))
	}
	c.tell(ack{Type: "ack", OK: true, ReplyTo: replyTo, Message: "delivered"})
}

// Nack tells the user that a message was not taken. The SDK has no word for it.
func (c *conn) Nack(_ string, e *fault.Error) { c.complain(e) }

// Typing tells that the bot is at work. The SDK shows that by itself, for a while.
func (c *conn) Typing(from chat.From) {
	if from == chat.FromBot {
		c.tell(event{"typing_indicator", "bot"})
	}
}

// Delta is nothing that the SDK shows: it draws whole messages.
func (c *conn) Delta(string, string) {}

// Read is nothing that the SDK shows.
func (c *conn) Read(int64) {}

// Secure shows who is locked out why. The SDK has no sign for who is not.
func (c *conn) Secure(n securesession.Notice) {
	if text := plainNotice(n); text != "" {
		c.show(text, "text", "")
	}
}

// tag is markup that the SDK does not draw.
var tag = regexp.MustCompile(`<[^>]*>`)

// plainNotice is what a user is told, as text.
func plainNotice(n securesession.Notice) string {
	if !strings.HasPrefix(n.Message, "<") {
		return n.Message
	}
	return strings.Join(strings.Fields(html.UnescapeString(tag.ReplaceAllString(n.Message, " "))), " ")
}

// Moved closes the connection: the conversation is another grant's user's now. The SDK
// comes back, and finds what its own user has.
func (c *conn) Moved() { c.sock.end(1008) }

// Reconnect closes the connection. The SDK comes back after a time of its own.
func (c *conn) Reconnect(time.Duration) { c.sock.end(1001) }

// Free is how many old messages the connection has room for, of the longest ones.
func (c *conn) Free() int { return c.sock.Free(2 * maxFrame) }
