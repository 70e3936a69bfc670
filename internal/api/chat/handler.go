// Package chat serves conversations to browsers and other clients: the protocol
// carnet.v1 over WebSocket, and the pages of history. Close codes 4000 to 4499 tell a
// client to stop, 4500 to 4999 to connect again.
package chat

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/revocation"
)

// engine carries the conversations.
type engine interface {
	Open(ctx context.Context, h chat.Hello, s chat.Sink) (*chat.Session, error)
	History(ctx context.Context, u chat.User, id chat.ID, before int64, limit int) (page []chat.Message, more bool, err error)
}

// Identity is what a token says.
type Identity struct {
	User    chat.User
	Origins []string // where the app's pages are
	Expires time.Time
	Token   revocation.Token
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
	Connects     *limit.Limiter   // attempts of an address, each of which may show one token; nil: no limit
	PingInterval time.Duration    // whole seconds; default 25 s
	Clock        func() time.Time // nil: time.Now
	Log          *slog.Logger     // nil: slog.Default()
}

// Handler serves the chat. Its connections need [Handler.Run], and end with
// [Handler.Shutdown] alone.
type Handler struct {
	c       Config
	upgrade *upgrader
	started time.Time

	mu      sync.Mutex
	conns   map[*conn]struct{} // that have a socket
	total   int                // of those that are admitted
	perAddr map[netip.Addr]int // likewise
	readers sync.WaitGroup     // likewise
	away    bool               // none is admitted any more
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
		c: c, upgrade: newUpgrader(), started: c.Clock(),
		conns: map[*conn]struct{}{}, perAddr: map[netip.Addr]int{},
	}
}

// Mount serves the chat's paths.
func (h *Handler) Mount(mux *http.ServeMux) {
	const history = "/chat/v1/conversations/{id}/messages"
	mux.Handle("/chat/v1/connect", httpx.Handler(h.connect))
	mux.Handle("GET "+history, httpx.Handler(h.history))
	mux.Handle(history, h.cors().Wrap(httpx.Handler(notHistory)))
}

// Conns is how many connections there are.
func (h *Handler) Conns() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total
}

// age is the time since the handler was made. No step of the wall clock moves it.
func (h *Handler) age() time.Duration { return h.c.Clock().Sub(h.started) }

// admit counts a connection from addr in. One that is admitted leaves.
func (h *Handler) admit(addr netip.Addr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.away:
		return unavailable("the server is going away")
	case h.total >= h.c.Total:
		return unavailable("the server has all the connections that it can take")
	case h.perAddr[addr] >= h.c.PerAddr:
		return &fault.Error{Kind: fault.Limited, Msg: "too many connections from this address", RetryAfter: retryConnect}
	}
	h.total++
	h.perAddr[addr]++
	h.readers.Add(1)
	return nil
}

// enter puts an admitted connection among those that are looked after.
func (h *Handler) enter(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[c] = struct{}{}
	if h.away {
		c.Reconnect(rand.N(retryConnect))
	}
}

// leave undoes admit, and enter if that was called.
func (h *Handler) leave(addr netip.Addr, c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
	h.total--
	if h.perAddr[addr]--; h.perAddr[addr] == 0 {
		delete(h.perAddr, addr)
	}
	h.readers.Done()
}

// retryConnect is when to try again to connect.
const retryConnect = 5 * time.Second

func unavailable(msg string) error {
	return &fault.Error{Kind: fault.Unavailable, Msg: msg, RetryAfter: retryConnect}
}

// Shutdown takes no more connections, closes those there are, telling each when to come
// back, and returns when they are gone. Those that are left when ctx ends are cut.
func (h *Handler) Shutdown(ctx context.Context) {
	h.each(func(c *conn) { c.Reconnect(rand.N(retryConnect)) })
	gone := make(chan struct{})
	go func() {
		h.readers.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-ctx.Done():
		h.each(func(c *conn) { c.out.sock.cut() })
		<-gone
	}
}

// each calls f for all connections, of which there will be no more.
func (h *Handler) each(f func(*conn)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = true
	for c := range h.conns {
		f(c)
	}
}
