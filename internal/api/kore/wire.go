package kore

import (
	"encoding/json"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/wire"
)

// icon is the bot's picture beside its messages. The SDK's quick replies fail without one.
const icon = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHZpZXdCb3g9IjAgMCA4IDgiPjxjaXJjbGUgY3g9IjQiIGN5PSI0IiByPSI0IiBmaWxsPSIjMTc1YzQ5Ii8+PC9zdmc+"

// What the server says.
type (
	botResponse struct {
		Type      string       `json:"type"`
		From      string       `json:"from"`
		MessageID string       `json:"messageId"`
		CreatedOn string       `json:"createdOn"`
		Timestamp int64        `json:"timestamp"` // milliseconds
		Icon      string       `json:"icon"`
		SessionID chat.ID      `json:"sessionId"`
		BotInfo   wireBot      `json:"botInfo"`
		Message   [1]wireDrawn `json:"message"`
	}
	wireBot struct {
		Name string `json:"chatBot"`
		ID   string `json:"taskBotId"`
	}
	wireDrawn struct {
		Type      string    `json:"type"`
		Component component `json:"component"`
		CInfo     struct {
			Body string `json:"body"`
		} `json:"cInfo"`
	}
	// userMessage is what the user said in another tab.
	userMessage struct {
		Type      string      `json:"type"`
		From      string      `json:"from"`
		ID        json.Number `json:"id"`
		CreatedOn string      `json:"createdOn"`
		Message   userDrawn   `json:"message"`
	}
	userDrawn struct {
		Body        string          `json:"body"`
		Attachments json.RawMessage `json:"attachments,omitempty"`
	}
	ack struct {
		Type    string          `json:"type"`
		OK      bool            `json:"ok"`
		ReplyTo json.RawMessage `json:"replyto"`
		Message string          `json:"message,omitempty"`
	}
	// event is a frame that the SDK only hands to its host.
	event struct {
		Type string `json:"type"`
		From string `json:"from"`
	}
)

// newResponse is a message of the bot's or the system's.
func newResponse(g grant, c chat.ID, m chat.Message) botResponse {
	s := read(m.Body)
	r := botResponse{
		Type: "bot_response", From: "bot", MessageID: m.ID, CreatedOn: wire.Time(m.At), Timestamp: m.At.UnixMilli(),
		Icon: icon, SessionID: c, BotInfo: wireBot{g.BotName, g.BotID},
	}
	r.Message[0] = wireDrawn{Type: "text", Component: s.toComponent()}
	r.Message[0].CInfo.Body = s.plain()
	return r
}

func newUserMessage(m chat.Message) userMessage {
	s := read(m.Body)
	return userMessage{
		Type: "user_message", From: "self", ID: bubbleID(m), CreatedOn: wire.Time(m.At),
		Message: userDrawn{s.Text, s.Attachments},
	}
}

// What the history has.
type (
	page struct {
		Total    int64     `json:"total"`
		More     bool      `json:"moreAvailable"`
		Icon     string    `json:"icon"`
		Messages []pastOne `json:"messages"` // oldest first

		conversation chat.ID
		upTo         int64 // the newest of them
	}
	pastOne struct {
		ID         string          `json:"_id"`
		Type       string          `json:"type"`
		CreatedOn  string          `json:"createdOn"`
		Timestamp  int64           `json:"timestampValue"`
		BotID      string          `json:"botId"`
		SessionID  chat.ID         `json:"sessionId"`
		Language   string          `json:"lang"`
		ResourceID string          `json:"resourceid"`
		ClientID   string          `json:"userMsgId,omitempty"` // of a user's: the bubble's id in 11.x
		Author     pastAuthor      `json:"author"`
		Components []pastComponent `json:"components"`
		Channels   []pastChannel   `json:"channels"`
		Tags       pastTags        `json:"tags"`
	}
	pastAuthor struct {
		FirstName string `json:"firstName"`
		LastName  string `json:"lastName"`
	}
	pastComponent struct {
		ID   string `json:"_id"`
		Type string `json:"cT"`
		Data struct {
			Text string `json:"text"`
		} `json:"data"`
		Thumbnails []string `json:"thumbnails"`
	}
	pastChannel struct {
		Type string `json:"type"`
	}
	pastTags struct {
		Message []string `json:"messageTags"`
		User    []string `json:"userTags"`
		Session []string `json:"sessionTags"`
	}
)

func newPast(g grant, c chat.ID, m chat.Message) pastOne {
	p := pastOne{
		ID: m.ID, Type: "outgoing", CreatedOn: wire.Time(m.At), Timestamp: m.At.UnixMilli(), BotID: g.BotID, SessionID: c,
		Language: "en", ResourceID: "messagestore", Channels: []pastChannel{{"rtm"}},
		Tags: pastTags{[]string{}, []string{}, []string{}},
	}
	if m.From == chat.FromUser {
		p.Type, p.ID = "incoming", string(bubbleID(m))
		p.ClientID = p.ID
	}
	part := pastComponent{ID: "cp-" + p.ID, Type: "text", Thumbnails: []string{}}
	part.Data.Text = read(m.Body).toHistory()
	p.Components = []pastComponent{part}
	return p
}

// nothing is a message that the SDK draws nothing for. It throws away what came over the
// socket while it waited for a history that is empty, so no history is.
func nothing(g grant, c chat.ID, at string) pastOne {
	return pastOne{
		ID: "none", Type: "outgoing", CreatedOn: at, BotID: g.BotID, SessionID: c, Language: "en", ResourceID: "messagestore",
		Components: []pastComponent{{ID: "cp-none", Type: "none", Thumbnails: []string{}}},
		Channels:   []pastChannel{{"rtm"}}, Tags: pastTags{[]string{}, []string{}, []string{}},
	}
}
