// Package sts serves the JWT service: POST /sts turns a visitor of an app into a
// signed session token. It answers Kore's pages as well as new ones.
package sts

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/token"
)

// apps is what the service asks of the directory.
type apps interface {
	Find(id app.ID) (*app.App, bool)
	Authenticate(ctx context.Context, id app.ID, given secret.Bytes, now time.Time) (*app.App, error)
	AllowsOrigin(origin string) bool
	AllowsCookies(origin string) bool
}

// issuer signs session tokens.
type issuer interface {
	Session(ctx context.Context, r token.SessionRequest) (string, error)
	SessionAudience(a *app.App) string
}

// verifier checks an access token of this issuer, that it is good for a session with an
// app, and returns its subject. Its error is [fault.Unavailable] if it cannot tell.
type verifier interface {
	Subject(ctx context.Context, accessToken string, a app.ID) (string, error)
}

// Config requires all but Connector, Observe and Clock.
type Config struct {
	Apps        apps
	Issuer      issuer
	Verifier    verifier
	Connector   func(alias string) (*connector.Client, bool) // that confirms visitors; nil: there are none
	ClientAddr  func(*http.Request) netip.Addr
	PerAddr     *limit.Limiter                         // all requests of an address
	PerApp      *limit.Limiter                         // tokens of an app
	PerIdentity *limit.Limiter                         // tokens of an identity of an app
	Secure      func(*http.Request) bool               // whether it came over HTTPS, or from this machine
	Observe     func(identity app.Identity, err error) // called once per request that named an app; nil: nobody looks
	Audit       *audit.Log                             // nil: none
	Clock       func() time.Time                       // nil: time.Now
}

// Handler serves the JWT service.
type Handler struct{ c Config }

// New returns a handler; Mount says where it serves.
func New(c Config) *Handler {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Connector == nil {
		c.Connector = func(string) (*connector.Client, bool) { return nil, false }
	}
	if c.Observe == nil {
		c.Observe = func(app.Identity, error) {}
	}
	return &Handler{c}
}

// Mount serves /sts.
func (h *Handler) Mount(mux *http.ServeMux) {
	mux.Handle("POST /sts", httpx.Handler(h.post))
	mux.Handle("/sts", h.cors().Wrap(httpx.Other("POST, OPTIONS")))
}

// cors is what a preflight gets: it does not say which app it is for, so any
// app's origin will do.
func (h *Handler) cors() httpx.CORS {
	return httpx.CORS{
		Allow:   h.c.Apps.AllowsOrigin,
		Cookies: h.c.Apps.AllowsCookies,
		Methods: []string{http.MethodPost},
		Headers: []string{"Authorization", "Content-Type"},
	}
}

// refused is the one answer to everyone who is not who they say. The reason is
// for the log.
func refused(cause error) error {
	return fault.Wrap(fault.Unauthenticated, "authentication failed", cause)
}

func (h *Handler) post(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	origin := r.Header.Get("Origin")
	h.cors().Mark(w.Header(), origin)
	now, addr := h.c.Clock(), h.c.ClientAddr(r)
	if ok, after := h.c.PerAddr.AllowAddr(addr, now); !ok {
		return limited(after)
	}
	req, err := read(w, r)
	if err != nil {
		return err
	}
	a, proven, err := h.client(r.Context(), req, now)
	if err != nil {
		h.noteClient(req.clientID, addr, err)
		return err
	}
	h.cors().Unmark(w.Header(), app.ListsOrigin(a.Origins, origin), len(a.Cookies) > 0) // another app's page
	if a.HTTPSOnly && !h.c.Secure(r) {
		return fault.New(fault.Denied, "https is required")
	}
	v := visit{request: req, app: a, proven: proven, addr: addr, header: r.Header, bearer: httpx.Bearer(r)}
	jwt, err := h.issue(r.Context(), v, now)
	h.c.Observe(a.Identity, err)
	h.note(v, err)
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, http.StatusOK, struct {
		JWT string `json:"jwt"`
	}{jwt})
	return nil
}

// client finds the app. A secret that is given must be right, whatever it is
// needed for; proven tells that one was.
func (h *Handler) client(ctx context.Context, req request, now time.Time) (a *app.App, proven bool, err error) {
	if req.clientID == "" {
		return nil, false, fault.BadField("clientId", "must be the app's client id")
	}
	if req.clientSecret.Len() > 0 {
		a, err = h.c.Apps.Authenticate(ctx, req.clientID, req.clientSecret, now)
		if fault.KindOf(err) == fault.Unavailable { // nobody can tell
			return nil, false, err
		}
		if err != nil {
			return nil, false, refused(err)
		}
		return a, true, nil
	}
	a, ok := h.c.Apps.Find(req.clientID)
	if !ok || a.Disabled {
		return nil, false, refused(nil)
	}
	return a, false, nil
}

func (h *Handler) issue(ctx context.Context, v visit, now time.Time) (string, error) {
	if len(v.app.Networks) > 0 && !within(v.app.Networks, v.addr) {
		return "", refused(errors.New("from outside the app's networks"))
	}
	if ok, after := h.c.PerApp.Allow(string(v.app.ID), now); !ok {
		return "", limited(after)
	}
	if v.audience != "" && !token.ValidSubject(v.audience) {
		return "", fault.BadField("aud", "must be at most 256 bytes of UTF-8 without control characters")
	}
	if v.audience != "" && !v.proven && v.audience != h.c.Issuer.SessionAudience(v.app) {
		return "", fault.BadField("aud", "must be left out, or be the app's own audience: another one is for callers who show the app's secret")
	}
	subject, err := h.identify(ctx, v)
	if err != nil {
		return "", err
	}
	if subject != "" { // who is only claimed to be somebody must not use up their share
		if ok, after := h.c.PerIdentity.Allow(string(v.app.ID)+"\x00"+subject, now); !ok {
			return "", limited(after)
		}
	}
	r := token.SessionRequest{App: v.app, Subject: subject, Audience: v.audience}
	if subject == "" {
		r.Subject, r.Anonymous = token.NewAnonymous(), true
	}
	return h.c.Issuer.Session(ctx, r)
}

func limited(after time.Duration) error {
	return &fault.Error{Kind: fault.Limited, Msg: "too many requests", RetryAfter: after}
}
