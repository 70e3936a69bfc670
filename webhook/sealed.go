package webhook

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/carnetproject/carnet/internal/jose"
)

// What is wrong with a message to a bot that takes sealed ones.
var (
	ErrPlain = errors.New("webhook: the message is not sealed")
	ErrKey   = errors.New("webhook: the message is sealed to a key that the bot does not have")
	ErrSeal  = errors.New("webhook: the sealed message is damaged, or was made for another place")
)

// Keys are the private keys of a bot whose messages Carnet carries and cannot read: visitors
// seal to one of them, and the bot seals its answers to the visitor (JWE, RFC 7516, with
// ECDH-ES and A256GCM). Safe for concurrent use.
type Keys struct{ byID map[string]*ecdh.PrivateKey }

// ParseKeys takes private P-256 keys as JWKs, such as carnet token keygen writes: the one
// that pages seal to, and, after it has changed, those that they may still know.
func ParseKeys(jwks ...[]byte) (*Keys, error) {
	k := &Keys{map[string]*ecdh.PrivateKey{}}
	for _, text := range jwks {
		var j jwk
		if err := json.Unmarshal(text, &j); err != nil {
			return nil, errors.New("webhook: the key is not a JWK")
		}
		public, err := j.public()
		if err != nil {
			return nil, fmt.Errorf("webhook: %w", err)
		}
		d, ok := jose.Decode(j.D)
		private, err := ecdh.P256().NewPrivateKey(d)
		if !ok || err != nil || !private.PublicKey().Equal(public) {
			return nil, errors.New("webhook: the key is not a private one")
		}
		k.byID[thumbprint(public)] = private
	}
	if len(k.byID) == 0 {
		return nil, errors.New("webhook: a key is required")
	}
	return k, nil
}

// Visitor is a browser that a bot seals to. Its key is made there, and told to the bot alone,
// inside of sealed messages: so what opens with it is from the bot, and a message that
// names it is from that browser. A Visitor can be kept as JSON; keep it as a secret.
type Visitor struct{ key *ecdh.PublicKey }

// ID tells browsers apart (RFC 7638). What a bot knows of a visitor it should remember by
// the ID, and never by the conversation alone: who runs Carnet can write to the bot in any
// conversation, but not as this visitor.
func (v *Visitor) ID() string { return thumbprint(v.key) }

// MarshalJSON writes the visitor's key as a JWK.
func (v *Visitor) MarshalJSON() ([]byte, error) { return json.Marshal(jwkOf(v.key)) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *Visitor) UnmarshalJSON(text []byte) error {
	var j jwk
	err := json.Unmarshal(text, &j)
	if err == nil {
		v.key, err = j.public()
	}
	return err
}

// Sealed is the body of a message that only one can read.
type Sealed struct {
	JWE string `json:"jwe"`
}

// letter is what is sealed. It names its writer and its place, so that it counts as nobody
// else's and nowhere else: a visitor's own letter, shown back, is not an answer.
type letter struct {
	From         string          `json:"from"` // user or bot
	Conversation string          `json:"conversation"`
	ID           string          `json:"id"`            // the message's; of an answer the answered one's, a slash and a number
	Key          *Visitor        `json:"key,omitempty"` // whom to answer
	Body         json.RawMessage `json:"body"`
}

// maxSealed bounds the body of a message, in bytes; Carnet takes no longer one.
const maxSealed = 60 << 10

// Seal makes the body of a message to the visitor, for one conversation and one id. That is
// the id of a push; for a hook's message, which has none yet, one that is not used again.
func (v *Visitor) Seal(conversation, id string, body any) (Sealed, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return Sealed{}, fmt.Errorf("webhook: write body: %w", err)
	}
	plain, err := json.Marshal(letter{From: "bot", Conversation: conversation, ID: id, Body: text.Bytes()})
	if err != nil {
		return Sealed{}, fmt.Errorf("webhook: write letter: %w", err)
	}
	jwe, err := seal(v.key, plain)
	if err != nil {
		return Sealed{}, fmt.Errorf("webhook: seal: %w", err)
	}
	if n := len(jwe) + len(`{"jwe":""}`); n > maxSealed {
		return Sealed{}, fmt.Errorf("webhook: the sealed body has %d bytes, at most %d may be", n, maxSealed)
	}
	return Sealed{jwe}, nil
}

// Open returns the event with the message as the visitor wrote it, and the Visitor. It
// returns [ErrPlain], [ErrKey] or [ErrSeal] if there is no such message.
func (k *Keys) Open(e Event) (Event, error) {
	var body Sealed
	if e.Message == nil || json.Unmarshal(e.Message.Body, &body) != nil || body.JWE == "" {
		return Event{}, ErrPlain
	}
	plain, err := k.open(body.JWE)
	if err != nil {
		return Event{}, err
	}
	var l letter
	if json.Unmarshal(plain, &l) != nil || l.Key == nil || l.Body == nil || l.From != "user" || l.Conversation != e.Conversation || l.ID != e.Message.ID {
		return Event{}, ErrSeal
	}
	m := *e.Message
	m.Body = l.Body
	e.Message, e.Visitor = &m, l.Key
	return e, nil
}

// Bot makes a bot of sealed messages out of one that knows nothing of them, for [Handler]:
// answer gets them opened, with [Event.Visitor], and what it says is sealed to that visitor. A
// message that does not open is not shown to it: the visitor is told so, in the clear.
// So is the welcome, since nobody's key is known then; messages that answer a hook must
// be [Sealed] bodies. Context is for Carnet to read.
func (k *Keys) Bot(answer func(context.Context, Event) (Answer, error)) func(context.Context, Event) (Answer, error) {
	return func(ctx context.Context, e Event) (Answer, error) {
		if e.Message == nil {
			a, err := answer(ctx, e)
			if err == nil && e.Type != SessionStarted {
				err = sealedAlone(a)
			}
			return a, err
		}
		opened, err := k.Open(e)
		if err != nil {
			return Say(unopened[err]), nil
		}
		a, err := answer(ctx, opened)
		if err != nil {
			return Answer{}, err
		}
		replies := make([]Reply, len(a.Messages)) // the bot may say its own again
		for i, r := range a.Messages {
			body := r.Body
			if body == nil {
				body = r
			}
			sealed, err := opened.Visitor.Seal(e.Conversation, fmt.Sprintf("%s/%d", e.Message.ID, i), body)
			if err != nil {
				return Answer{}, err
			}
			replies[i].Body = sealed
		}
		a.Messages = replies
		return a, nil
	}
}

// unopened is what visitors are told of messages that the bot was not shown.
var unopened = map[error]string{
	ErrPlain: "I take encrypted messages alone, and yours was not. Please reload the page.",
	ErrKey:   "Your message was encrypted to a key that I do not have any more. Please reload the page, and send it again.",
	ErrSeal:  "Your message was damaged on its way. Please send it again.",
}

// sealedAlone refuses messages that Carnet could read.
func sealedAlone(a Answer) error {
	for _, r := range a.Messages {
		if _, ok := r.Body.(Sealed); !ok {
			return errors.New("webhook: a hook's message is not sealed: see Visitor.Seal")
		}
	}
	return nil
}
