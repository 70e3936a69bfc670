package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/wire"
)

// WebhookConfig requires Endpoint.URL and Secrets.
type WebhookConfig struct {
	Endpoint
	// Secrets sign each call, each for itself: whsec_ and base64, or any text of at
	// least 16 bytes. More than one: while they are changed.
	Secrets []secret.Bytes
	Clock   func() time.Time
}

// Webhook is a bot that is an HTTP endpoint: a turn is sent to it as JSON, signed as the
// Standard Webhooks specification says, and what it answers is the answer.
type Webhook struct {
	client *client
	signer signer
	clock  func() time.Time
}

// NewWebhook checks the configuration. It calls nobody yet.
func NewWebhook(c WebhookConfig) (*Webhook, error) {
	cl, err := newClient(c.Endpoint)
	if err != nil {
		return nil, err
	}
	keys, err := newSigner(c.Secrets)
	if err != nil {
		return nil, err
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return &Webhook{cl, keys, c.Clock}, nil
}

// Answer is [Webhook.Stream] that tells nobody.
func (w *Webhook) Answer(ctx context.Context, t Turn) (Answer, error) {
	return w.Stream(ctx, t, func(Delta) {})
}

// Stream sends the turn and reads the answer to its end, all before ctx ends.
func (w *Webhook) Stream(ctx context.Context, t Turn, tell func(Delta)) (a Answer, err error) {
	body, err := envelopeOf(t)
	if err != nil {
		return Answer{}, err
	}
	id := webhookID(t)
	head := func(h http.Header) {
		at := strconv.FormatInt(w.clock().Unix(), 10)
		h.Set("Webhook-Id", id)
		h.Set("Webhook-Timestamp", at)
		h.Set("Webhook-Signature", w.signer.sign(id, at, body))
	}
	err = w.client.post(ctx, body, head, func(resp *http.Response, r io.Reader) (err error) {
		a, err = readAnswer(resp.Header.Get("Content-Type"), r, tell)
		return err
	})
	if err != nil {
		return Answer{}, err
	}
	return a, nil
}

// webhookID is the idempotency key: the message's id, or for a conversation's beginning its
// own, of which there is one such call. A hook's is that of the conversation and its own.
func webhookID(t Turn) string {
	switch {
	case t.Kind == Message:
		return t.MessageID
	case t.Kind.Hook():
		return t.Conversation + "-" + t.MessageID
	}
	return t.Conversation
}

// envelope is the body of a call.
type envelope struct {
	Type      string       `json:"type"`
	Timestamp string       `json:"timestamp"` // of what happened, the same in each try
	Data      envelopeData `json:"data"`
}

type envelopeData struct {
	Bot          ID               `json:"bot"`
	Conversation string           `json:"conversation"`
	User         envelopeUser     `json:"user"`
	Message      *envelopeMessage `json:"message,omitempty"`
	Context      json.RawMessage  `json:"context"`
}

type envelopeUser struct {
	Iss string `json:"iss"`
	Sub string `json:"sub"`
}

type envelopeMessage struct {
	Seq  int64           `json:"seq"`
	ID   string          `json:"id"`
	Body json.RawMessage `json:"body"`
	At   string          `json:"at"`
}

// types are the envelope's by the kinds of turns.
var types = map[Kind]string{
	Message: "message.created", Welcome: "session.started", Offline: "user.offline", Ended: "session.ended",
}

func envelopeOf(t Turn) ([]byte, error) {
	at := wire.Time(t.At)
	e := envelope{
		Type: types[t.Kind], Timestamp: at,
		Data: envelopeData{Bot: t.Bot, Conversation: t.Conversation, User: envelopeUser{t.User.Issuer, t.User.Subject}, Context: t.Context},
	}
	if len(t.Context) == 0 {
		e.Data.Context = json.RawMessage("{}")
	}
	if t.Kind == Message {
		e.Data.Message = &envelopeMessage{t.Seq, t.MessageID, t.Body, at}
	}
	call, err := wire.JSON(e)
	if err != nil {
		return nil, &CallError{Final: true, Err: fmt.Errorf("write call: %w", err)}
	}
	return call, nil
}
