package kore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/wire"
)

const (
	defaultPage = 10
	// welcomeWait is how long the first history of a new conversation waits for the bot's
	// welcome.
	welcomeWait = time.Second
)

// maxPages is how many pages of history a node holds at a time: each has up to chat.MaxPage
// messages of any length, since the SDK counts on the number that it asks for.
const maxPages = 256

// paged serves a page of history, and counts it until the client has taken it.
func (h *Handler) paged(serve func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		return h.pages.While(h.c.ClientAddr(r), func() error { return serve(w, r) })
	}
}

// history answers a page of the conversation, counted from its newest message.
func (h *Handler) history(w http.ResponseWriter, r *http.Request) error {
	g, err := h.bearer(w, r)
	if err != nil {
		return err
	}
	p, err := h.pageOf(r, g)
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, http.StatusOK, p)
	return nil
}

// pageOf is the page that r asks for.
func (h *Handler) pageOf(r *http.Request, g grant) (page, error) {
	q := r.URL.Query()
	offset, err := count(q, "offset", 0, 0, 1<<40)
	if err != nil {
		return page{}, err
	}
	limit, err := count(q, "limit", defaultPage, 1, 1<<40)
	if err != nil {
		return page{}, err
	}
	p := page{Icon: icon, Messages: []pastOne{}}
	conv, err := h.current(r, g)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return page{}, err
	}
	p.Total = conv.LastSeq
	if before := conv.LastSeq - offset + 1; err == nil && before > 1 {
		messages, more, err := h.c.Engine.History(r.Context(), g.user(), conv.ID, before, int(min(limit, chat.MaxPage)))
		if _, locked := errors.AsType[*chat.LockedError](err); locked {
			return page{Icon: icon, Messages: []pastOne{nothing(g, conv.ID, wire.Time(h.c.Clock()))}}, nil // the page goes on without
		}
		if err != nil {
			return page{}, err
		}
		p.More, p.conversation, p.upTo = more, conv.ID, before-1
		for _, m := range messages {
			p.Messages = append(p.Messages, newPast(g, conv.ID, m))
		}
	}
	if offset == 0 && len(p.Messages) == 0 {
		p.Messages = append(p.Messages, nothing(g, conv.ID, wire.Time(h.c.Clock())))
	}
	return p, nil
}

// current is the conversation. One without a message is given a moment to be welcomed.
func (h *Handler) current(r *http.Request, g grant) (chat.Conversation, error) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	conv, err := h.c.Engine.Current(ctx, g.user(), g.Bot)
	if err != nil || conv.LastSeq > 0 {
		return conv, err
	}
	e := newEar()
	hello := chat.Hello{User: g.user(), Bot: g.Bot, Conversation: conv.ID, Addr: h.c.ClientAddr(r)}
	if s, err := h.c.Engine.Open(ctx, hello, e); err == nil { // who cannot listen does not wait
		s.Ready()
		e.wait(ctx, welcomeWait, func() bool { return e.over || e.last > 0 })
		s.Close()
	}
	return h.c.Engine.Current(ctx, g.user(), g.Bot)
}

// count reads a parameter in digits; missing if it is not there.
func count(q url.Values, name string, missing, least, most int64) (int64, error) {
	text := q.Get(name)
	if text == "" {
		return missing, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, fault.BadField(name, fmt.Sprintf("must be a whole number from %d to %d", least, most))
	}
	return n, nil
}
