package kore

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/wire"
)

// frame is what a page sends. Members that are not here are ignored.
type frame struct {
	ID              json.RawMessage `json:"id"`
	ClientMessageID json.RawMessage `json:"clientMessageId"` // a number, or its text when it comes again
	ResourceID      string          `json:"resourceid"`
	Type            string          `json:"type"`
	Event           string          `json:"event"`
	Message         *frameMessage   `json:"message"`
	CustomData      json.RawMessage `json:"customdata"`
	BotInfo         botInfo         `json:"botInfo"`
	Meta            json.RawMessage `json:"meta"`
}

type frameMessage struct {
	Body        string          `json:"body"`
	Label       string          `json:"renderMsg"` // of the button whose payload the body is
	Attachments json.RawMessage `json:"attachments"`
	NLMeta      json.RawMessage `json:"nlMeta"`
}

// The resources of frames.
const (
	messageResource = "/bot.message"
	closeResource   = "/bot.closeConversationSession"
)

// decode reads a frame. The error is a [fault.Invalid].
func decode(text []byte) (frame, error) {
	var f frame
	if err := httpx.DecodeJSON(text, &f); err != nil {
		return frame{}, err
	}
	return f, nil
}

// messageID is the frame's own name for its message. That of the SDK is the time at which
// the user sent it: as it stands it is the id of the bubble, which the history has again.
func (f frame) messageID() (string, error) {
	for _, raw := range []json.RawMessage{f.ClientMessageID, f.ID} {
		switch text := scalar(raw); {
		case text == "":
		case safeID(text):
			return text, nil
		default:
			sum := sha256.Sum256([]byte(text))
			return "k_" + hex.EncodeToString(sum[:16]), nil
		}
	}
	return "", fault.BadField("clientMessageId", "must be a number or a text")
}

// scalar is the text of a string or a number, "" of anything else. A whole number is
// written without an exponent, so that it equals its text.
func scalar(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var number json.Number
	if json.Unmarshal(raw, &number) != nil {
		return ""
	}
	if f, err := number.Float64(); err == nil && f == float64(int64(f)) {
		return strconv.FormatInt(int64(f), 10)
	}
	return number.String()
}

// safeID tells whether s is one of a message as it is, which may stand in the page's
// selectors, too.
func safeID(s string) bool {
	return len(s) <= chat.MaxID && s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-'
	})
}

// userBody is a user's message as it is kept, and as bots get it.
type userBody struct {
	Text        string          `json:"text,omitempty"`    // as the user sees it
	Payload     string          `json:"payload,omitempty"` // of the button that was chosen, if that is something else
	Attachments json.RawMessage `json:"attachments,omitempty"`
	CustomData  json.RawMessage `json:"customData,omitempty"`
	NLMeta      json.RawMessage `json:"nlMeta,omitempty"`
	Sender      *wireSender     `json:"sender,omitempty"`
}

// wireSender is a grant, and the tab's first one.
type wireSender struct {
	Grant string `json:"grant"`
	Tab   string `json:"tab"`
}

// sender is who sent a message, if that says so.
func sender(m chat.Message) wireSender {
	var b userBody
	if m.From != chat.FromUser || json.Unmarshal(m.Body, &b) != nil || b.Sender == nil {
		return wireSender{}
	}
	return *b.Sender
}

// body is the message to keep.
func (f frame) body(by *wireSender) (json.RawMessage, error) {
	b := userBody{
		Sender: by,
		Text:   f.Message.Body, Attachments: present(f.Message.Attachments),
		CustomData: present(f.CustomData), NLMeta: present(f.Message.NLMeta),
	}
	if label := f.Message.Label; label != "" && label != b.Text {
		b.Text, b.Payload = label, b.Text
	}
	if b.Text == "" && b.Attachments == nil {
		return nil, fault.BadField("message.body", "must be there")
	}
	return wire.JSON(b)
}

// present is raw unless it says nothing.
func present(raw json.RawMessage) json.RawMessage {
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	return raw
}
