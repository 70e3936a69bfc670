package kore

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/wire"
)

// hookRequest is what a page says in webhook mode. Who says it is in the assertion that
// comes with it, whatever "from" says.
type hookRequest struct {
	Message struct {
		Type        string          `json:"type"` // "text", "event", or nothing in version 1
		Value       string          `json:"val"`
		Text        string          `json:"text"` // the value in version 1
		Attachments json.RawMessage `json:"attachments"`
	} `json:"message"`
}

// The events that mean something.
const (
	onConnect = "ON_CONNECT"
	closure   = "SESSION_CLOSURE"
)

// body is the message to keep.
func (q hookRequest) body() (json.RawMessage, error) {
	m := frameMessage{Body: q.Message.Value, Attachments: q.Message.Attachments}
	if m.Body == "" {
		m.Body = q.Message.Text
	}
	if m.Body == "" && present(m.Attachments) == nil {
		return nil, fault.BadField("message.val", "must be there")
	}
	return frame{Message: &m}.body(nil)
}

// hookID names a message of the webhook mode, in which the SDK names none and yet sends
// one again that it has no answer to. Until the user has been answered, the same words
// are the same message; afterwards they are another.
func hookID(answered int64, body json.RawMessage) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s", answered, body))
	return "hook_" + hex.EncodeToString(sum[:16])
}

// hookAnswer is an answer of the webhook mode, for both of its versions: the SDK reads
// what _v says.
type hookAnswer struct {
	Version   string        `json:"_v"`
	Data      []hookMessage `json:"data"`             // the SDK fails without a list
	PollID    string        `json:"pollId,omitempty"` // ask again, with this
	EndOfTask bool          `json:"endOfTask"`
}

// hookMessage is a message of the bot's. The SDK draws one with the same id once.
type hookMessage struct {
	Type      string `json:"type"`
	Value     string `json:"val"` // a template is the text of its JSON, as in the history
	CreatedOn string `json:"createdOn"`
	MessageID string `json:"messageId"`
}

func newHookAnswer(said []chat.Message) hookAnswer {
	a := hookAnswer{Version: "v2", Data: make([]hookMessage, len(said))}
	for i, m := range said {
		a.Data[i] = hookMessage{"text", read(m.Body).toHistory(), wire.Time(m.At), m.ID}
	}
	return a
}

// poll is what a pollId says: all that is needed to go on, on any node. It gives no right
// to anything, so that whoever changes it asks for less or more of what is their own.
type poll struct {
	conversation chat.ID
	after        int64     // what the client has
	until        time.Time // when to stop asking, in whole seconds
}

func (p poll) String() string {
	return fmt.Sprintf("%s.%d.%d", p.conversation, p.after, p.until.Unix())
}

func parsePoll(text string) (poll, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 || !safeID(parts[0]) {
		return poll{}, fault.BadField("pollId", "must be one that an answer has had")
	}
	after, err := strconv.ParseInt(parts[1], 10, 64)
	until, err2 := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || err2 != nil || after < 0 || until < 0 {
		return poll{}, fault.BadField("pollId", "must be one that an answer has had")
	}
	return poll{chat.ID(parts[0]), after, time.Unix(until, 0)}, nil
}
