package chat

import (
	"context"
	"errors"
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
	visitor, r := c.merge(ctx, f, id)
	if r != nil {
		return r
	}
	hello, r := c.resume(f, id.User, visitor)
	if r != nil {
		return r
	}
	hello.Addr = c.addr
	s, err := c.h.c.Engine.Open(ctx, hello, c)
	if locked, ok := errors.AsType[*chat.LockedError](err); ok && locked.Notice.Standing != "" {
		c.Secure(locked.Notice)
	}
	if err != nil {
		return refuseFor(err)
	}
	c.session, c.user = s, id.User
	if r := c.live(id); r != nil {
		return r
	}
	conv := s.Conversation()
	sealed, err := c.seal(ctx)
	if err != nil {
		return refuseFor(err)
	}
	c.tell(welcomeFrame{
		Type: "welcome", Conversation: conv.ID, User: wireUser{id.User.Issuer, id.User.Subject},
		LastSeq: conv.LastSeq, ReadSeq: conv.ReadSeq, Session: sealed,
		ExpiresIn: c.expiresIn(), PingInterval: int64(c.h.c.PingInterval / time.Second),
		BotKey: c.h.keyOf(conv.Bot),
	})
	c.out.Feed(s)
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

// merge makes what the user has said as a visitor the user's own, if the client shows the
// token of that time too: both agree then. Who that was is zero if it does not.
func (c *conn) merge(ctx context.Context, f helloFrame, known Identity) (visitor chat.User, r *refusal) {
	if f.merge == "" {
		return chat.User{}, nil
	}
	refused := refuse(closeNotAllowed, "merge_refused", "merge: must be a valid token of an anonymous visitor of the same app: connect without it")
	was, err := c.h.c.Verify(ctx, f.merge)
	if fault.KindOf(err) == fault.Unauthenticated || fault.KindOf(err) == fault.Denied {
		refused.cause = err
		return chat.User{}, refused
	}
	if err != nil {
		return chat.User{}, refuseFor(err)
	}
	if !was.Anonymous || known.Anonymous || was.App == "" || was.App != known.App {
		return chat.User{}, refused
	}
	if err := c.h.c.Engine.Merge(ctx, was.User, known.User); err != nil {
		return chat.User{}, refuseFor(err)
	}
	return was.User, nil
}

// resume says where the user goes on: as the sealed state has it, if the client has one of
// the user's, or of the visitor that the user was before.
func (c *conn) resume(f helloFrame, u, visitor chat.User) (chat.Hello, *refusal) {
	h := chat.Hello{User: u, Bot: f.bot, Conversation: f.conversation, After: f.after, Context: f.context}
	if f.session == "" {
		return h, nil
	}
	s, err := openState(c.h.c.Box, f.session)
	if err != nil || s.user() != u && s.user() != visitor || s.Bot != f.bot || f.conversation != "" && f.conversation != s.Conversation {
		return chat.Hello{}, refuse(closeNotAllowed, "session_refused", "the session is not this user's with this bot: connect without it")
	}
	h.Conversation, h.Past = s.Conversation, s.page()
	if f.after == chat.FromNow && s.Seq != nil {
		h.After = *s.Seq
	}
	return h, nil
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
	sealed, err := c.seal(ctx)
	if err != nil {
		return refuseFor(err)
	}
	if r := c.live(id); r != nil {
		return r
	}
	left := c.expiresIn()
	c.tell(sessionFrame{"session", sealed, &left})
	return nil
}
