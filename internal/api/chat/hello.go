package chat

import (
	"context"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
)

// patience is how long a frame may wait for the verifier and the store.
const patience = 10 * time.Second

// What is wrong with a token. Sends are answered with tokenExpired until a fresh one comes.
var (
	tokenExpired = wireError{Code: "token_expired", Title: "the token has expired: refresh it and send again"}
	tokenRefused = wireError{Code: "token_refused", Title: "the token is not valid here"}
)

// hello opens the session.
func (c *conn) hello(ctx context.Context, f helloFrame) *refusal {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	id, r := c.identify(ctx, f.token)
	if r != nil {
		return r
	}
	conversation, r := c.resume(f, id.User)
	if r != nil {
		return r
	}
	s, err := c.h.c.Engine.Open(ctx, chat.Hello{
		User: id.User, Bot: f.bot, Conversation: conversation, After: f.after, Context: f.context,
	}, c)
	if err != nil {
		return refuseFor(err)
	}
	c.session, c.user = s, id.User
	if r := c.live(id); r != nil {
		return r
	}
	conv := s.Conversation()
	sealed, err := newState(conv).seal(c.h.c.Box)
	if err != nil {
		return refuseFor(err)
	}
	c.tell(welcomeFrame{
		Type: "welcome", Conversation: conv.ID, User: wireUser{id.User.Issuer, id.User.Subject},
		LastSeq: conv.LastSeq, Session: sealed,
		ExpiresIn: c.expiresIn(), PingInterval: int64(c.h.c.PingInterval / time.Second),
	})
	c.out.feed(s)
	return nil
}

// identify checks a token, and that the page may use it.
func (c *conn) identify(ctx context.Context, token string) (Identity, *refusal) {
	id, err := c.h.c.Verify(ctx, token)
	if fault.KindOf(err) == fault.Unauthenticated {
		return Identity{}, &refusal{closeTokenRefused, tokenRefused, err}
	}
	if err != nil {
		return Identity{}, refuseFor(err)
	}
	if c.origin != "" && !app.ListsOrigin(id.Origins, c.origin) {
		return Identity{}, refuse(closeNotAllowed, "origin_refused", "the token's app must list the origin of this page")
	}
	// The rest of the token need not stay in memory for as long as the connection.
	id.User = chat.User{Issuer: strings.Clone(id.User.Issuer), Subject: strings.Clone(id.User.Subject)}
	return id, nil
}

// resume finds the conversation to go on with, if the client names one.
func (c *conn) resume(f helloFrame, u chat.User) (chat.ID, *refusal) {
	if f.session == "" {
		return f.conversation, nil
	}
	s, err := openState(c.h.c.Box, f.session)
	if err != nil || s.user() != u || s.Bot != f.bot || f.conversation != "" && f.conversation != s.Conversation {
		return "", refuse(closeNotAllowed, "session_refused", "the session is not this user's with this bot: connect without it")
	}
	return s.Conversation, nil
}

// refresh takes a fresh token of the same user, and answers with how long it lasts.
func (c *conn) refresh(ctx context.Context, f refreshFrame) *refusal {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	id, r := c.identify(ctx, f.token)
	if r != nil {
		return r
	}
	if id.User != c.user {
		return refuse(closeTokenRefused, "other_user", "the token must be the same user's as before")
	}
	sealed, err := newState(c.session.Conversation()).seal(c.h.c.Box)
	if err != nil {
		return refuseFor(err)
	}
	if r := c.live(id); r != nil {
		return r
	}
	c.tell(sessionFrame{"session", sealed, c.expiresIn()})
	return nil
}
