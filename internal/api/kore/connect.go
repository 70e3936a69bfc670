package kore

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/socket"
)

const (
	// patience is how long a page may wait for the store.
	patience = 10 * time.Second
	// freshFor is how long after its making a grant may be shown for the first time.
	freshFor = time.Minute
	// maxLack is how many messages a tab that is not known may lack at the most.
	maxLack = 300
)

// mode is how a page comes (ConnectionMode, or isReconnect).
type mode int

const (
	arrives   mode = iota // goes on with the user's conversation, and reads the history itself
	comesBack             // is sent what it lacks
	anew                  // wants another conversation
)

// connect begins a connection. What it refuses is answered over HTTP: the SDK tries again
// from the start of a socket, some seconds later.
func (h *Handler) connect(w http.ResponseWriter, r *http.Request) error {
	key, err := socket.Challenge(w.Header(), r, "")
	if err != nil {
		return err
	}
	t, err := h.redeem(r.URL.Query().Get("sid"))
	if err != nil {
		return err
	}
	if err := h.admits(w, r, t.Grant); err != nil {
		return err
	}
	addr := h.c.ClientAddr(r)
	if err := h.conns.Admit(addr); err != nil {
		return err
	}
	ctx := context.WithoutCancel(r.Context())
	c := &conn{h: h, grant: t.Grant, addr: addr, agent: r.UserAgent(), context: t.Context}
	if err := c.open(ctx, modeOf(r, t)); err != nil {
		h.conns.Leave(addr, nil)
		return err
	}
	sock, err := h.upgrade.Upgrade(w, r, key)
	if err != nil {
		c.close()
		h.conns.Leave(addr, nil)
		if fault.KindOf(err) == fault.Invalid {
			return err
		}
		h.c.Log.LogAttrs(ctx, slog.LevelDebug, "handshake ended early", slog.Any("err", err))
		return nil
	}
	c.sock.Line = sock
	h.enter(c)
	// On a goroutine of its own, so that the request and its buffers are let go.
	go func() {
		defer h.conns.Leave(addr, c)
		c.run(ctx, sock)
	}()
	return nil
}

// modeOf reads the query. ConnectionMode wins over isReconnect, which the SDK adds.
func modeOf(r *http.Request, t ticket) mode {
	q := r.URL.Query()
	switch q.Get("ConnectionMode") {
	case "Reconnect":
		return comesBack
	case "Start_New", "Start_New_Resume_Agent":
		return anew
	case "Default":
		return arrives
	}
	if t.Reconnect || q.Get("isReconnect") == "true" {
		return comesBack
	}
	return arrives
}

// open opens the session. The connection is told nothing before [chat.Session.Ready].
func (c *conn) open(ctx context.Context, m mode) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	hello := chat.Hello{User: c.grant.user(), Bot: c.grant.Bot, Context: c.context, After: chat.FromNow, New: m == anew, Addr: c.addr}
	if err := c.place(ctx, m, &hello); err != nil {
		return err
	}
	err := c.begin(ctx, hello)
	if fault.KindOf(err) == fault.NotFound && hello.Conversation != "" { // it is gone
		hello.Conversation, hello.After = "", chat.FromNow
		err = c.begin(ctx, hello)
	}
	if err == nil {
		c.tab.enter(c, c.h.c.Clock())
	}
	return err
}

// place finds the connection's tab, and where that is.
func (c *conn) place(ctx context.Context, m mode, hello *chat.Hello) error {
	h, g := c.h, c.grant
	fresh := h.c.Clock().Sub(g.issued()) < freshFor
	if c.tab = h.tabs.find(g.ID); c.tab == nil && m == comesBack && fresh {
		if c.tab = h.tabs.inherit(g, c.agent); c.tab != nil {
			h.tabs.know(g.ID, c.tab)
		}
	}
	switch {
	case m != comesBack && c.tab == nil:
		c.tab = h.tabs.begin(g.ID, g, c.agent, time.Time{})
	case m != comesBack:
	case c.tab != nil:
		hello.Conversation, hello.After = c.tab.place()
	default:
		return c.placeUnknown(ctx, fresh, hello)
	}
	return nil
}

// placeUnknown finds where a tab is at the least that this node does not know: it has what
// was said before its grant, since it read the history then. One whose grant is fresh had
// another before, and has what was said before this node began, which would know it
// otherwise, and all but the latest page.
func (c *conn) placeUnknown(ctx context.Context, fresh bool, hello *chat.Hello) error {
	h, g := c.h, c.grant
	since := h.c.Clock()
	if h.c.Alone && h.tabs.remembersAll() {
		since = h.started
	}
	before, most := g.issued(), maxLack
	if fresh {
		before, most = h.started, defaultPage
	}
	l, err := h.lack(ctx, g, before, most)
	if err != nil {
		return err
	}
	hello.Conversation, hello.After = l.conversation, l.after
	name := cmp.Or(l.tab, g.ID)
	if c.tab = h.tabs.find(name); c.tab == nil {
		c.tab = h.tabs.begin(name, g, c.agent, since)
	}
	h.tabs.know(g.ID, c.tab)
	return nil
}

// lack is where an unknown tab is.
type lack struct {
	conversation chat.ID
	after        int64
	tab          string // its name, if one of its messages says that it had another grant before
}

// lack looks for the last message before the time given, but not beyond so many.
func (h *Handler) lack(ctx context.Context, g grant, before time.Time, most int) (lack, error) {
	conv, err := h.c.Engine.Current(ctx, g.user(), g.Bot)
	if fault.KindOf(err) == fault.NotFound {
		return lack{after: chat.FromNow}, nil
	}
	if err != nil {
		return lack{}, err
	}
	l := lack{conversation: conv.ID, after: conv.LastSeq}
	for least := max(0, conv.LastSeq-int64(most)); l.after > least; {
		page, _, err := h.c.Engine.Past(ctx, g.user(), conv.ID, l.after+1, min(int(l.after-least), chat.MaxPage))
		if err != nil || len(page) == 0 {
			return l, err
		}
		for _, m := range slices.Backward(page) {
			if m.At.Before(before) {
				return l, nil
			}
			l.after = m.Seq - 1
			if by := sender(m); l.tab == "" && by.Grant == g.ID {
				l.tab = by.Tab
			}
		}
	}
	return l, nil
}
