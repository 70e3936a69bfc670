package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/carnetproject/carnet/internal/securesession"
	"github.com/carnetproject/carnet/internal/wire"
)

// maxInline is how many bytes of bodies an event carries along. Longer ones are read
// from the store by the nodes that need them.
const maxInline = 8 << 10

// event tells other nodes what happened in a conversation.
type event struct {
	Node     string    `json:"node"`               // whose event it is: that node knows; the first member, see beginning
	Seq      int64     `json:"seq,omitempty"`      // the conversation has come so far
	Messages []message `json:"messages,omitempty"` // the newest ones, in order
	Typing   From      `json:"typing,omitempty"`
	Read     int64     `json:"read,omitempty"`
	Delta    *delta    `json:"delta,omitempty"`
	Moves    int64     `json:"moves,omitempty"` // see Conversation.Moves
	Secure   *notice   `json:"secure,omitempty"`
}

// notice is a [securesession.Notice] as it travels on the bus.
type notice struct {
	Standing   securesession.Standing `json:"state"`
	Reason     securesession.Reason   `json:"reason,omitempty"`
	Message    string                 `json:"message,omitempty"`
	RetryAfter time.Duration          `json:"retry_after,omitempty"` // nanoseconds
}

// delta is a [bot.Delta] as it travels on the bus.
type delta struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// message is a [Message] as it travels on the bus.
type message struct {
	Seq  int64           `json:"seq"`
	ID   string          `json:"id"`
	From From            `json:"from"`
	Body json.RawMessage `json:"body"`
	At   time.Time       `json:"at"`
}

// said is the event of committed messages, in order and at least one.
func said(ms []Message) event {
	e := event{Seq: ms[len(ms)-1].Seq}
	size := 0
	for _, m := range ms {
		if size += len(m.Body); size > maxInline {
			return event{Seq: e.Seq}
		}
		e.Messages = append(e.Messages, message(m))
	}
	return e
}

// beginning is that of the events of a node, and of no other's.
func beginning(node string) []byte {
	data, _ := event{Node: node}.encode() // a string always encodes
	return bytes.TrimSuffix(data, []byte("}"))
}

func (e event) encode() ([]byte, error) {
	data, err := wire.JSON(e)
	if err != nil {
		return nil, fmt.Errorf("write event: %w", err)
	}
	return data, nil
}

func decodeEvent(data []byte) (event, error) {
	var e event
	if err := json.Unmarshal(data, &e); err != nil {
		return event{}, fmt.Errorf("read event: %w", err)
	}
	return e, nil
}

func (e event) messages() []Message {
	ms := make([]Message, len(e.Messages))
	for i, m := range e.Messages {
		ms[i] = Message(m)
	}
	return ms
}
