package chat

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/wire"
)

// sessionPurpose is what session state is sealed for.
const sessionPurpose = "session:v1"

// box seals under the data master key, so that any node opens what another sealed.
type box interface {
	Seal(purpose string, plain []byte) (string, error)
	Open(purpose, sealed string) ([]byte, error)
}

// state is what a client carries from one connection to the next, so that any node goes on
// where another left off. It grants nothing: who resumes shows a token of the same user.
type state struct {
	Conversation chat.ID `json:"conversation"`
	Bot          bot.ID  `json:"bot"`
	Iss          string  `json:"iss"`
	Sub          string  `json:"sub"`

	// The states of earlier versions lack these.
	Seq     *int64          `json:"seq,omitempty"`     // of the newest message that the client was given
	Context json.RawMessage `json:"context,omitempty"` // the page's part, for the next conversation when this one is gone
}

func (s *state) user() chat.User { return chat.User{Issuer: s.Iss, Subject: s.Sub} }

// page is the page's part of the context, never nil.
func (s *state) page() json.RawMessage {
	if len(s.Context) == 0 {
		return json.RawMessage("{}")
	}
	return s.Context
}

// seal gives up the context if the state would be longer than a hello may have it. That
// takes a user whose name has thousands of bytes.
func (s *state) seal(b box) (string, error) {
	plain, err := wire.JSON(s)
	if err != nil {
		return "", err
	}
	sealed, err := b.Seal(sessionPurpose, plain)
	if err == nil && len(sealed) > maxSession && s.Context != nil {
		s.Context = nil
		return s.seal(b)
	}
	return sealed, err
}

// openState opens what a client gives back.
func openState(b box, sealed string) (state, error) {
	plain, err := b.Open(sessionPurpose, sealed)
	if err != nil {
		return state{}, err
	}
	var s state
	if err := json.Unmarshal(plain, &s); err != nil {
		return state{}, errors.New("sealed state is not ours")
	}
	return s, nil
}

// carryEvery is how often a client gets a newer state because messages have come.
const carryEvery = 30 * time.Second

// carried is the state that the client has.
type carried struct {
	seq int64
	at  time.Duration // since the handler was made
}

// seal makes the state of the session as it is now. Where the store does not tell the
// context, it does without: a client whose token is fresh need not notice.
func (c *conn) seal(ctx context.Context) (string, error) {
	last := c.session.Last()
	page, err := c.session.PageContext(ctx)
	if err != nil {
		c.h.c.Log.LogAttrs(ctx, slog.LevelDebug, "state without a context", slog.Any("err", err))
	}
	conv := c.session.Conversation()
	c.carried = carried{last, c.h.age()}
	s := state{conv.ID, conv.Bot, conv.User.Issuer, conv.User.Subject, &last, page}
	return s.seal(c.h.c.Box)
}

// tellState gives the client a newer state. It goes out behind the messages that it counts
// as given.
func (c *conn) tellState(ctx context.Context) {
	if c.deaf {
		return // a stream's client has its state from the welcome alone
	}
	sealed, err := c.seal(ctx)
	if err != nil {
		c.h.c.Log.LogAttrs(ctx, slog.LevelError, "state not sealed", slog.Any("err", err))
		return
	}
	c.tell(sessionFrame{Type: "session", Session: sealed})
}

// renewState is called whenever the client is heard, and gives it a newer state if messages
// have come and the last one is old, unless its token has expired. So an idle connection has
// none made for it, and no connection needs a timer.
func (c *conn) renewState(ctx context.Context, age time.Duration) {
	if c.session == nil || age-c.carried.at < carryEvery || c.session.Last() == c.carried.seq || c.expired() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	aside(func() { c.tellState(ctx) })
}
