package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Tolerance is how far the time of a call may be from the receiver's.
const Tolerance = 5 * time.Minute

// ErrSignature is a call that is not from who has the secret, or is an old one.
var ErrSignature = errors.New("webhook: the signature is not right")

// Verifier checks signatures as the Standard Webhooks specification describes them.
// Safe for concurrent use.
type Verifier struct{ keys [][]byte }

// NewVerifier takes secrets as they are configured: whsec_ and base64, or any other
// text. A signature by one of them will do, so that they can be changed one at a time.
func NewVerifier(secrets ...string) (*Verifier, error) {
	if len(secrets) == 0 {
		return nil, errors.New("webhook: a secret is required")
	}
	v := &Verifier{}
	for _, s := range secrets {
		key := []byte(s)
		if encoded, ok := strings.CutPrefix(s, "whsec_"); ok {
			var err error
			if key, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "=")); err != nil {
				return nil, errors.New("webhook: a secret that begins with whsec_ must go on in base64")
			}
		}
		if len(key) < 16 {
			return nil, errors.New("webhook: a secret must have at least 16 bytes")
		}
		v.keys = append(v.keys, key)
	}
	return v, nil
}

// Verify checks the signature of a body, and that it was made at about now.
func (v *Verifier) Verify(h http.Header, body []byte, now time.Time) error {
	id, at := h.Get("Webhook-Id"), h.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || id == "" || now.Sub(time.Unix(seconds, 0)).Abs() > Tolerance {
		return ErrSignature
	}
	ok := false
	for _, key := range v.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + at + "."))
		mac.Write(body)
		want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		for given := range strings.FieldsSeq(h.Get("Webhook-Signature")) {
			ok = hmac.Equal([]byte(given), []byte(want)) || ok
		}
	}
	if !ok {
		return ErrSignature
	}
	return nil
}

// Event is Verify, and reads what the body says.
func (v *Verifier) Event(h http.Header, body []byte, now time.Time) (Event, error) {
	if err := v.Verify(h, body, now); err != nil {
		return Event{}, err
	}
	var w struct {
		Type      string
		Timestamp time.Time
		Data      struct {
			Bot          string
			Conversation string
			User         User
			Message      *Message
			Context      json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return Event{}, fmt.Errorf("webhook: the body is not an event: %w", err)
	}
	d := w.Data
	return Event{
		ID: h.Get("Webhook-Id"), Type: w.Type, Time: w.Timestamp, Bot: d.Bot, Conversation: d.Conversation,
		User: d.User, Message: d.Message, Context: d.Context,
	}, nil
}
