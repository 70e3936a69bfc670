// Package chat serves conversations to browsers and other clients: the protocol
// carnet.v1 over WebSocket, or over requests where none gets through, and the pages of
// history. docs/protocol.md describes it. Close codes 4000 to 4499 tell a
// client to stop, 4500 to 4999 to connect again.
package chat

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/socket"
)

// engine carries the conversations.
type engine interface {
	Open(ctx context.Context, h chat.Hello, s chat.Sink) (*chat.Session, error)
	// Visit opens a session for one request.
	Visit(ctx context.Context, u chat.User, id chat.ID, addr netip.Addr, s chat.Sink) (*chat.Session, error)
	Merge(ctx context.Context, from, to chat.User) error
	History(ctx context.Context, u chat.User, id chat.ID, before int64, limit int) (page []chat.Message, more bool, err error)
}

// Identity is what a token says.
type Identity struct {
	User      chat.User
	Anonymous bool     // a visitor, whom nobody knows
	App       string   // the client id of the app that it is of; "": none
	Origins   []string // where the app's pages are
	Expires   time.Time
	Token     revocation.Token
}

// Config requires Engine, Verify, AllowsOrigin, Box and ClientAddr.
type Config struct {
	Engine engine
	// Verify checks a token: [fault.Unauthenticated] if it is not valid,
	// [fault.Denied] if it is not for chat, [fault.Unavailable] if it cannot tell.
	Verify       func(ctx context.Context, token string) (Identity, error)
	AllowsOrigin func(origin string) bool // whether any app's pages are there
	Box          box
	ClientAddr   func(*http.Request) netip.Addr
	Revocations  revocations // end the connections of tokens that were taken back; nil: none

	PerAddr      int              // connections of an address at a time (of a /64 in IPv6); default 256
	Total        int              // connections of this node at a time; default 100,000
	Connects     *limit.Limiter   // attempts of an address, each of which may show one token, and bad tokens of its requests; nil: no limit
	PingInterval time.Duration    // whole seconds; default 25 s
	Compress     bool             // frames of clients that offer it
	Clock        func() time.Time // nil: time.Now
	Log          *slog.Logger     // nil: slog.Default()
}

// Handler serves the chat. Its connections need [Handler.Run], and end with
// [Handler.Shutdown] alone.
type Handler struct {
	c       Config
	upgrade *socket.Upgrader
	started time.Time
	conns   *socket.Set[*conn]
	pages   *socket.Set[*conn] // of history, whose clients have not taken them yet
	says    *limit.Limiter     // of users' requests with frames
	keys    atomic.Pointer[BotKeys]
}

// BotKeys are what bots publish for those who seal to them: a JWK, or a token over one.
type BotKeys map[bot.ID]json.RawMessage

// Publish has clients told of the keys that bots have from now on. Who is connected learns
// it by the next welcome.
func (h *Handler) Publish(keys BotKeys) { h.keys.Store(&keys) }

// keyOf is nil if the bot publishes none.
func (h *Handler) keyOf(id bot.ID) json.RawMessage {
	if keys := h.keys.Load(); keys != nil {
		return (*keys)[id]
	}
	return nil
}

// New returns a handler; Mount says where it serves.
func New(c Config) *Handler {
	if c.PerAddr == 0 {
		c.PerAddr = 256
	}
	if c.Total == 0 {
		c.Total = 100_000
	}
	if c.Connects == nil {
		c.Connects = limit.New(limit.Rate{}, 0)
	}
	if c.PingInterval == 0 {
		c.PingInterval = 25 * time.Second
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Handler{
		c: c, started: c.Clock(),
		upgrade: socket.NewUpgrader(socket.UpgraderConfig{Protocol: subprotocol, MaxFrame: maxFrame, Compress: c.Compress}),
		conns:   socket.NewSet[*conn](c.Total, c.PerAddr), pages: socket.NewSet[*conn](maxPages, c.PerAddr),
		says: limit.New(saysPerUser, usersRemembered),
	}
}

// Mount serves the chat's paths.
func (h *Handler) Mount(mux *http.ServeMux) {
	const history = "/chat/v1/conversations/{id}/messages"
	mux.Handle("/chat/v1/connect", httpx.Handler(h.connect))
	mux.Handle("/chat/v1/stream", h.post(h.listen))
	mux.Handle("/chat/v1/conversations/{id}/frames", h.post(h.say))
	mux.Handle("GET "+history, httpx.Handler(h.history))
	mux.Handle(history, h.cors(http.MethodGet).Wrap(httpx.Other("GET, HEAD, OPTIONS")))
}

// Conns is how many connections there are.
func (h *Handler) Conns() int { return h.conns.Len() }

// age is the time since the handler was made. No step of the wall clock moves it.
func (h *Handler) age() time.Duration { return h.c.Clock().Sub(h.started) }

// enter puts an admitted connection among those that are looked after.
func (h *Handler) enter(c *conn) {
	c.opened = h.age()
	c.pinged = c.opened
	c.seen.Store(int64(c.opened))
	if !h.conns.Enter(c) {
		c.leave()
	}
}

// Shutdown takes no more connections, closes those there are, telling each when to come
// back, and returns when they are gone. Those that are left when ctx ends are cut.
func (h *Handler) Shutdown(ctx context.Context) {
	h.conns.Shutdown(ctx, (*conn).leave, func(c *conn) { c.out.Cut() })
}

// leave asks the client to come back within a time of its own.
func (c *conn) leave() { c.Reconnect(rand.N(socket.RetryConnect)) }
