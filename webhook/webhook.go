// Package webhook is for bots: programs that Carnet calls for each message of a
// conversation. [Handler] is all that a bot of one function needs; [Verifier] is for
// who reads requests otherwise. It needs the standard library alone.
//
// A bot is called at least once for each message: a call whose answer was lost comes
// again, with the same [Event.Conversation] and [Event.ID]. What a bot does besides
// answering, it should do once for these.
package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// The types of events.
const (
	SessionStarted = "session.started" // a conversation begins: the answer is its welcome
	MessageCreated = "message.created" // the user said something
	UserOffline    = "user.offline"    // the user has no connection any more; the answer is kept for later
	SessionEnded   = "session.ended"   // nor has had one for long: messages of the answer are dropped
)

// Event is what a bot is called for.
type Event struct {
	ID           string          // with Conversation: the same in each call for the same event
	Type         string          // one of the above, or of a later version
	Time         time.Time       // when it happened
	Bot          string          // the bot's configured name
	Conversation string          // for pushes and for what the bot remembers
	User         User            // who talks
	Message      *Message        // what was said; nil unless Type is MessageCreated
	Context      json.RawMessage // the conversation's, one object
	Visitor      *Visitor        // who sealed the message; nil before [Keys.Open]
}

// User is the pair that names a user.
type User struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
}

// Message is what was said.
type Message struct {
	Seq  int64           `json:"seq"` // its place in the conversation
	ID   string          `json:"id"`
	Body json.RawMessage `json:"body"`
	At   time.Time       `json:"at"`
}

// Text is the text of what was said, "" if there is none.
func (e Event) Text() string {
	var body struct {
		Text string `json:"text"`
	}
	if e.Message == nil || json.Unmarshal(e.Message.Body, &body) != nil {
		return ""
	}
	return body.Text
}

// Answer is what a bot says. The zero Answer is that it says nothing now.
type Answer struct {
	Messages []Reply        `json:"messages"`
	Context  map[string]any `json:"context,omitempty"` // merged into the conversation's; nil takes a member away
}

// Reply is one message: a text, with what the user may answer at a touch, or any Body.
type Reply struct {
	Text         string   `json:"text,omitempty"`
	QuickReplies []string `json:"quick_replies,omitempty"`
	Body         any      `json:"body,omitempty"` // in place of the others
}

// Say is an answer of texts, each a message.
func Say(texts ...string) Answer {
	var a Answer
	for _, t := range texts {
		a.Messages = append(a.Messages, Reply{Text: t})
	}
	return a
}

// maxBody bounds a call, in bytes. Carnet's have less than 128 KiB.
const maxBody = 1 << 20

// Handler calls answer for each event whose signature is right. An error is answered
// with 500, so that Carnet calls again later. The secrets are those of [NewVerifier].
func Handler(answer func(context.Context, Event) (Answer, error), secrets ...string) (http.Handler, error) {
	v, err := NewVerifier(secrets...)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "the body cannot be read", http.StatusBadRequest)
			return
		}
		e, err := v.Event(r.Header, body, time.Now())
		if err != nil {
			status := http.StatusBadRequest
			if errors.Is(err, ErrSignature) {
				status = http.StatusUnauthorized
			}
			http.Error(w, err.Error(), status)
			return
		}
		a, err := answer(r.Context(), e)
		if err != nil {
			slog.ErrorContext(r.Context(), "bot failed", "conversation", e.Conversation, "id", e.ID, "err", err)
			http.Error(w, "the bot failed", http.StatusInternalServerError)
			return
		}
		if a.Messages == nil {
			a.Messages = []Reply{}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(a) // what cannot be written, Carnet asks for again
	}), nil
}
