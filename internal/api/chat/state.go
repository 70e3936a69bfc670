package chat

import (
	"encoding/json"
	"errors"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
)

// sessionPurpose is what session state is sealed for.
const sessionPurpose = "session:v1"

// box seals under the data master key, so that any node opens what another sealed.
type box interface {
	Seal(purpose string, plain []byte) (string, error)
	Open(purpose, sealed string) ([]byte, error)
}

// state is what a client carries from one connection to the next. It grants nothing:
// who resumes shows a token of the same user.
type state struct {
	Conversation chat.ID `json:"conversation"`
	Bot          bot.ID  `json:"bot"`
	Iss          string  `json:"iss"`
	Sub          string  `json:"sub"`
}

func newState(c chat.Conversation) state {
	return state{c.ID, c.Bot, c.User.Issuer, c.User.Subject}
}

func (s state) user() chat.User { return chat.User{Issuer: s.Iss, Subject: s.Sub} }

func (s state) seal(b box) (string, error) {
	plain, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	return b.Seal(sessionPurpose, plain)
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
