package chat

import (
	"cmp"
	"encoding/json"
	"math"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
	"github.com/carnetproject/carnet/internal/wire"
)

// subprotocol is the one that this package speaks.
const subprotocol = "carnet.v1"

// What the server says. Type is filled in by the functions that make them.
type (
	welcomeFrame struct {
		Type         string          `json:"type"`
		Conversation chat.ID         `json:"conversation"`
		User         wireUser        `json:"user"`
		LastSeq      int64           `json:"last_seq"`
		ReadSeq      int64           `json:"read_seq"` // how far the user has read, on any device
		Session      string          `json:"session"`
		ExpiresIn    int64           `json:"expires_in"`        // of the token, in whole seconds
		PingInterval int64           `json:"ping_interval"`     // seconds
		BotKey       json.RawMessage `json:"bot_key,omitempty"` // see [BotKeys]
	}
	wireUser struct {
		Iss string `json:"iss"`
		Sub string `json:"sub"`
	}
	ackFrame struct {
		Type string `json:"type"`
		ID   string `json:"id"`
		Seq  int64  `json:"seq"`
		At   string `json:"at"`
	}
	nackFrame struct {
		Type  string    `json:"type"`
		ID    string    `json:"id"`
		Error wireError `json:"error"`
	}
	messageFrame struct {
		Type string          `json:"type"`
		Seq  int64           `json:"seq"`
		ID   string          `json:"id"`
		From chat.From       `json:"from"`
		Body json.RawMessage `json:"body"`
		At   string          `json:"at"`
	}
	deltaFrame struct {
		Type string `json:"type"`
		ID   string `json:"id"`
		Text string `json:"text"`
	}
	markFrame struct { // typing, read, pong
		Type string    `json:"type"`
		From chat.From `json:"from,omitempty"`
		Seq  *int64    `json:"seq,omitempty"`
	}
	sessionFrame struct {
		Type      string `json:"type"`
		Session   string `json:"session"`
		ExpiresIn *int64 `json:"expires_in,omitempty"` // of the refreshed token; nil: none was
	}
	secureFrame struct {
		Type       string                 `json:"type"`
		State      securesession.Standing `json:"state"`
		Reason     securesession.Reason   `json:"reason"` // "allowed" of secured
		Message    string                 `json:"message,omitempty"`
		RetryAfter float64                `json:"retry_after,omitempty"`
	}
	doneFrame struct { // context: the change of that id is committed
		Type string `json:"type"`
		ID   string `json:"id"`
	}
	errorFrame struct {
		Type  string    `json:"type"`
		Error wireError `json:"error"`
	}
)

// wireError is an error as clients see it.
type wireError struct {
	Code       string  `json:"code"` // a stable word
	Title      string  `json:"title"`
	RetryAfter float64 `json:"retry_after,omitempty"` // seconds, to the millisecond
}

// toWire shows what the caller may know of err.
func toWire(err error) wireError {
	e := fault.Public(err)
	w := wireError{Code: cmp.Or(e.Code, e.Kind.String()), Title: e.Msg, RetryAfter: seconds(e.RetryAfter)}
	if e.Field != "" {
		w.Title = e.Field + ": " + e.Msg
	}
	return w
}

func toMessage(m chat.Message) messageFrame {
	return messageFrame{"message", m.Seq, m.ID, m.From, m.Body, wire.Time(m.At)}
}

// seconds is d to the millisecond, rounded up.
func seconds(d time.Duration) float64 {
	return math.Ceil(float64(d)/float64(time.Millisecond)) / 1000
}
