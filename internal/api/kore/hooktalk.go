package kore

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
	"github.com/carnetproject/carnet/internal/wire"
)

const (
	// answerWithin is how long a page asks for an answer: bots are given up before.
	answerWithin = 6 * time.Minute
	// moreWithin is how long it asks for more after the bot spoke.
	moreWithin = 30 * time.Second
	// maxMissed is how many messages a page that comes to speak is sent at the most of
	// what was said before.
	maxMissed = 20
)

// listen calls f with a session of the user's conversation, in which e hears first what
// the user was not given yet.
func (h *Handler) listen(r *http.Request, g grant, hello chat.Hello, f func(*chat.Session, *ear) (hookAnswer, error)) (hookAnswer, error) {
	addr, e := h.c.ClientAddr(r), newEar()
	if err := h.waiting.Admit(addr); err != nil {
		return hookAnswer{}, err
	}
	defer h.waiting.Leave(addr, e)
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	hello.User, hello.Bot, hello.Addr = g.user(), g.Bot, addr
	if hello.Conversation == "" {
		conv, err := h.c.Engine.Current(ctx, hello.User, hello.Bot)
		if err == nil {
			hello.Conversation, hello.After = conv.ID, max(conv.ReadSeq, conv.LastSeq-maxMissed)
		} else if fault.KindOf(err) != fault.NotFound {
			return hookAnswer{}, err
		}
	}
	s, err := h.c.Engine.Open(ctx, hello, e)
	if err != nil {
		return hookAnswer{}, err
	}
	defer s.Close()
	e.last = s.Last() // not hello's, should that be of a conversation that has ended
	if !h.waiting.Enter(e) {
		e.leave()
	}
	s.Ready()
	return f(s, e)
}

// hookSend brings a message into the conversation, and waits for the answer.
func (h *Handler) hookSend(r *http.Request, g grant, q hookRequest) (hookAnswer, error) {
	body, err := q.body()
	if err != nil {
		return hookAnswer{}, err
	}
	return h.listen(r, g, chat.Hello{}, func(s *chat.Session, e *ear) (hookAnswer, error) {
		begun := h.c.Clock()
		s.Send(hookID(s.Conversation().ReadSeq, body), body)
		e.wait(r.Context(), patience, func() bool { return e.refused != nil || e.taken != 0 })
		e.wait(r.Context(), h.c.AnswerWait-h.c.Clock().Sub(begun), func() bool {
			return e.refused != nil || e.taken == 0 || e.over || e.answered()
		})
		e.mu.Lock()
		taken, refused, notice := e.taken != 0, e.refused, e.notice
		e.mu.Unlock()
		switch {
		case refused != nil:
			if _, blocked := errors.AsType[securesession.Reason](refused); blocked && notice != "" {
				return newHookAnswer([]chat.Message{h.notice(notice)}), nil
			}
			return hookAnswer{}, refused
		case !taken:
			return hookAnswer{}, late()
		}
		return h.tell(r.Context(), s, e, h.c.Clock().Add(answerWithin))
	})
}

// notice is what a user is to see who was not let in. It is not part of the conversation.
func (h *Handler) notice(text string) chat.Message {
	body, _ := wire.JSON(map[string]string{"text": text}) // a text always encodes
	return chat.Message{ID: "notice_" + strings.ToLower(rand.Text()), From: chat.FromSystem, Body: body, At: h.c.Clock()}
}

// hookConnect greets a page: with what its user missed, or with the bot's welcome.
func (h *Handler) hookConnect(r *http.Request, g grant) (hookAnswer, error) {
	return h.listen(r, g, chat.Hello{}, func(s *chat.Session, e *ear) (hookAnswer, error) {
		conv := s.Conversation()
		e.wait(r.Context(), welcomeWait, func() bool {
			return e.over || e.last >= conv.LastSeq && e.last > 0
		})
		until, err := h.awaits(r.Context(), conv)
		if err != nil {
			return hookAnswer{}, err
		}
		return h.tell(r.Context(), s, e, until)
	})
}

// awaits is how long the page of a conversation has reason to ask for what the bot says:
// when it is new, or the user spoke last.
func (h *Handler) awaits(ctx context.Context, c chat.Conversation) (until time.Time, err error) {
	if c.LastSeq == 0 {
		return h.c.Clock().Add(moreWithin), nil
	}
	newest, _, err := h.c.Engine.Past(ctx, c.User, c.ID, 0, 1)
	if err != nil || len(newest) == 0 || newest[0].From != chat.FromUser {
		return time.Time{}, err
	}
	return newest[0].At.Add(answerWithin), nil
}

// hookClose ends what was said so far: the user goes on in another conversation. One in
// which the user has said nothing is new as it is.
func (h *Handler) hookClose(ctx context.Context, g grant) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conv, err := h.c.Engine.Current(ctx, g.user(), g.Bot)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	said, more, err := h.c.Engine.Past(ctx, g.user(), conv.ID, 0, chat.MaxPage)
	if err != nil {
		return err
	}
	for _, m := range said {
		more = more || m.From == chat.FromUser
	}
	if !more {
		return nil
	}
	s, err := h.c.Engine.Open(ctx, chat.Hello{User: g.user(), Bot: g.Bot, New: true}, newEar())
	if err == nil {
		s.Close()
	}
	return err
}

// tell makes the answer of what e has heard, and notes that the user is given it. Until
// then the page asks for more if there is nothing.
func (h *Handler) tell(ctx context.Context, s *chat.Session, e *ear, until time.Time) (hookAnswer, error) {
	s.Ready() // returns when all that was committed together has been heard
	if ctx.Err() != nil {
		return hookAnswer{}, fault.New(fault.Unavailable, "the client has gone")
	}
	conv, now := s.Conversation(), h.c.Clock()
	said, upTo := e.heard()
	if upTo > conv.ReadSeq {
		if err := h.c.Engine.MarkRead(ctx, conv.User, conv.ID, upTo); err != nil {
			return hookAnswer{}, err
		}
	}
	a := newHookAnswer(said)
	e.mu.Lock()
	p := poll{conv.ID, e.last, until}
	e.mu.Unlock()
	if len(said) > 0 {
		p.until = now.Add(moreWithin)
	}
	if now.Before(p.until) {
		a.PollID = p.String()
	}
	return a, nil
}
