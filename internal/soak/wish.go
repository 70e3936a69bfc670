package soak

import (
	"encoding/json"
	"fmt"

	"github.com/carnetproject/carnet/internal/wire"
)

// want is what the bot is to do with a message. The message says it, so that the bot
// need not remember, and that the history tells what is owed.
type want string

const (
	say    want = "say"    // at once
	slow   want = "slow"   // after a while
	ndjson want = "ndjson" // in parts
	sse    want = "sse"    // in parts
	fail   want = "fail"   // with 503 at first, once without and once with Retry-After
	hang   want = "hang"   // not at all, at first
	cut    want = "cut"    // with half an answer, at first
	push   want = "push"   // nothing now, and later unasked
	none   want = "none"   // nothing
	refuse want = "refuse" // with 418, so that the turn is given up
)

// wants has each as often as it is to be wished.
var wants = []want{
	say, say, say, say, say, say, say, say, say, say, slow, ndjson, sse, ndjson, sse, fail, hang, cut, push, push, none, refuse,
}

// wish is the body of a user's message.
type wish struct {
	Text    string `json:"text"` // the message's id
	Want    want   `json:"want"`
	Replies int    `json:"replies"`
	Padding string `json:"padding,omitempty"`
}

// replies is how many messages end the turn, and pushes how many come later.
func (w wish) replies() int {
	switch w.Want {
	case push, none, refuse:
		return 0
	}
	return w.Replies
}

func (w wish) pushes() int {
	if w.Want == push {
		return w.Replies
	}
	return 0
}

// welcome is what the bot says to who begins.
const welcome = "welcome"

// reply is the text of the bot's k-th message, from 1 on, in answer to a message.
func reply(id string, k int) string { return fmt.Sprintf("re %s %d", id, k) }

// canonical is a JSON value in the one of its spellings that everybody notes: surfaces
// may escape characters as they like. What is no JSON stays as it is.
func canonical(text []byte) string {
	var v any
	if json.Unmarshal(text, &v) != nil {
		return string(text)
	}
	return encode(v)
}

func encode(v any) string {
	text, _ := wire.JSON(v) // strings and numbers always encode
	return string(text)
}

// wishOf is zero if the body is none.
func wishOf(body string) (w wish) {
	if json.Unmarshal([]byte(body), &w) != nil {
		return wish{}
	}
	return w
}
