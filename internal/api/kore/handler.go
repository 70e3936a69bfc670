// Package kore serves the pages of Kore.ai's web SDK: the published SDK works with it
// unmodified, once its addresses lead here. It is the JWT grant, the start of a socket,
// the socket itself, the history and the theme; and the webhook mode, which needs no
// socket. The JWT service is api/sts.
//
// The SDK has habits that this package answers. It draws a message of the bot once,
// whatever comes twice, but one of the user as often as it comes. It never asks for what
// it missed. It stops for good on 429, and tries again without a pause on 401. Hence: a
// page's tab is remembered for as long as it may come back, limits answer 503, and 401
// says that a token has expired and nothing else.
package kore

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/socket"
)

// engine carries the conversations.
type engine interface {
	Open(ctx context.Context, h chat.Hello, s chat.Sink) (*chat.Session, error)
	// Current is the conversation that Open goes on with; [fault.NotFound] if it would begin one.
	Current(ctx context.Context, u chat.User, b bot.ID) (chat.Conversation, error)
	// History is for what is shown, Past for what is not.
	History(ctx context.Context, u chat.User, id chat.ID, before int64, limit int) (page []chat.Message, more bool, err error)
	Past(ctx context.Context, u chat.User, id chat.ID, before int64, limit int) (page []chat.Message, more bool, err error)
	// MarkRead notes what the user was given for good, and Merge that one user is another.
	MarkRead(ctx context.Context, u chat.User, id chat.ID, seq int64) error
	Merge(ctx context.Context, from, to chat.User) error
}

// apps knows whose pages may come.
type apps interface {
	Find(id app.ID) (*app.App, bool)
	AllowsOrigin(origin string) bool // whether any app's pages are there
}

// box seals under the data master key, so that any node opens what another sealed.
type box interface {
	Seal(purpose string, plain []byte) (string, error)
	Open(purpose, sealed string) ([]byte, error)
}

// revocations tells which tokens were taken back.
type revocations interface {
	Epoch() uint64
	Revoked(t revocation.Token) bool
}

// opener decrypts assertions that are JWEs.
type opener interface {
	Open(sealed string) ([]byte, error)
}

// Config requires Engine, Apps, Keys, Bot, Box and ClientAddr.
type Config struct {
	Engine engine
	Apps   apps
	// Keys may have signed an assertion of a that is good at now, and has kid or none. They
	// are [fault.Unavailable] while the app's secret cannot be read.
	Keys func(ctx context.Context, a *app.App, kid string, now time.Time) ([]*jose.Key, error)
	// Bot is the one that pages call by an _id or, if there is none of that, a name.
	Bot         func(id, name string) (bot.ID, bool)
	Box         box
	ClientAddr  func(*http.Request) netip.Addr
	Secure      func(*http.Request) bool // whether the browser came by TLS; nil: whether the request did
	Revocations revocations              // nil: none
	Encrypted   opener                   // nil: assertions must not be encrypted
	// Alone says that no other node serves these conversations: what came since this one
	// began was seen here or nowhere.
	Alone bool

	Prefix       string           // of all paths, with a slash at both ends; default "/api/"
	TokenTTL     time.Duration    // of bearer tokens; default 24 h
	PerAddr      int              // sockets of an address at a time (of a /64 in IPv6); default 256
	Total        int              // sockets of this node at a time; default 100,000
	Requests     *limit.Limiter   // of an address; nil: no limit
	PingInterval time.Duration    // default 25 s
	AnswerWait   time.Duration    // for the bot, of a request in webhook mode; default 10 s
	Clock        func() time.Time // nil: time.Now
	Log          *slog.Logger     // nil: slog.Default()
}

// Handler serves the surface. Its sockets need [Handler.Run], and end with
// [Handler.Shutdown] alone.
type Handler struct {
	c       Config
	routes  *http.ServeMux
	upgrade *socket.Upgrader
	used    *once // the jti of assertions, and the sid of sockets
	tabs    *tabs
	started time.Time
	conns   *socket.Set[*conn]
	hooks   string            // the root of the webhook mode's paths, "" if it is off
	waiting *socket.Set[*ear] // requests of the webhook mode
	pages   *socket.Set[*ear] // of history, whose clients have not taken them yet
}

// New returns a handler; [Handler.Wrap] says where it serves.
func New(c Config) *Handler {
	if c.Secure == nil {
		c.Secure = func(r *http.Request) bool { return r.TLS != nil }
	}
	if c.Prefix == "" {
		c.Prefix = "/api/"
	}
	if c.TokenTTL == 0 {
		c.TokenTTL = 24 * time.Hour
	}
	if c.PerAddr == 0 {
		c.PerAddr = 256
	}
	if c.Total == 0 {
		c.Total = 100_000
	}
	if c.Requests == nil {
		c.Requests = limit.New(limit.Rate{}, 0)
	}
	if c.PingInterval == 0 {
		c.PingInterval = 25 * time.Second
	}
	if c.AnswerWait == 0 {
		c.AnswerWait = 10 * time.Second
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	h := &Handler{
		c: c, upgrade: socket.NewUpgrader(socket.UpgraderConfig{MaxFrame: maxFrame}), used: newOnce(maxUsed), tabs: newTabs(maxTabs), started: c.Clock(),
		conns: socket.NewSet[*conn](c.Total, c.PerAddr),
		hooks: hookPath(c.Prefix), waiting: socket.NewSet[*ear](maxWaiting, c.PerAddr),
		pages: socket.NewSet[*ear](maxPages, c.PerAddr),
	}
	h.routes = http.NewServeMux()
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request) error{
		"POST /oAuth/token/jwtgrant":          h.grant,
		"POST /rtm/start":                     h.start,
		"GET /rtm/bot":                        h.connect,
		"GET /botmessages/rtm":                h.paged(h.history),
		"GET /websdkthemes/{bot}/activetheme": h.theme,

		"GET /chathistory/{bot}/{channel}":                      h.paged(h.hookHistory),
		"GET /botmeta/{bot}":                                    h.hookMeta,
		"POST /chatbot/v2/webhook/{bot}":                        h.hook,
		"POST /chatbot/v2/webhook/{bot}/hookInstance/{channel}": h.hook,
		"POST /chatbot/hooks/{bot}":                             h.hook,
		"POST /chatbot/hooks/{bot}/hookInstance/{channel}":      h.hook,
		"GET /chatbot/v2/webhook/{bot}/poll/{poll}":             h.poll,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		h.routes.Handle(path, h.cors().Wrap(h.handle(method, serve)))
	}
	return h
}

// Wrap serves the paths of the surface and leaves all others to next. It stands before
// any ServeMux: the SDK writes // into paths, which a mux would redirect. The prefix may
// be followed by 1.1/, as in some of the SDK's requests.
func (h *Handler) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		root, path, ours := h.route(single(r.URL.Path))
		if !ours {
			next.ServeHTTP(w, r)
			return
		}
		inner, address := new(http.Request), *r.URL
		*inner = *r
		inner.URL = &address
		address.Path, address.RawPath = path, ""
		if _, pattern := h.routes.Handler(inner); pattern == "" {
			next.ServeHTTP(w, r)
			return
		}
		h.routes.ServeHTTP(w, inner)
		r.Pattern = root + inner.Pattern // for who counts requests
	})
}

// route cuts path into where the surface is and one of its routes.
func (h *Handler) route(path string) (root, route string, ours bool) {
	if rest, ok := strings.CutPrefix(path, h.c.Prefix); ok {
		return strings.TrimSuffix(h.c.Prefix, "/"), "/" + strings.TrimPrefix(rest, "1.1/"), !strings.HasPrefix(rest, "chatbot/")
	}
	if rest, ok := strings.CutPrefix(path, h.hooks); ok && h.hooks != "" {
		return strings.TrimSuffix(h.hooks, "/chatbot/"), "/chatbot/" + rest, true
	}
	return "", "", false
}

// single makes one slash of many.
func single(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

// handle serves a route to who keeps to the method and the rate.
func (h *Handler) handle(method string, serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		err := h.within(r)
		switch {
		case err != nil:
		case r.Method != method:
			w.Header().Set("Allow", method+", OPTIONS")
			err = fault.New(fault.MethodNotAllowed, "the method must be "+method)
		default:
			err = serve(w, r)
		}
		if err != nil {
			writeError(w, r, err)
		}
	})
}

func (h *Handler) within(r *http.Request) error {
	if ok, after := h.c.Requests.AllowAddr(h.c.ClientAddr(r), h.c.Clock()); !ok {
		return &fault.Error{Kind: fault.Limited, Msg: "too many requests", RetryAfter: after}
	}
	return nil
}

// cors is what pages of any app get: a preflight does not say whose token will be shown.
func (h *Handler) cors() httpx.CORS {
	return httpx.CORS{
		Allow:   h.c.Apps.AllowsOrigin,
		Methods: []string{http.MethodGet, http.MethodPost, http.MethodPut},
		Headers: []string{"Authorization", "Content-Type", "X-RTM-V"},
	}
}

// Conns is how many sockets there are.
func (h *Handler) Conns() int { return h.conns.Len() }

// age is the time since the handler was made. No step of the wall clock moves it.
func (h *Handler) age() time.Duration { return h.c.Clock().Sub(h.started) }
