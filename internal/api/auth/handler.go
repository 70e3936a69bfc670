// Package auth serves the two steps of a sign-in with an OAuth 2 provider that happen in
// the address bar of a browser: off to the provider, and back. What they do is package
// authprofile's; here are cookies, redirects, and pages for people, which need no script.
package auth

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/authprofile"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/limit"
)

// broker brings browsers to providers and back.
type broker interface {
	Start(ctx context.Context, sealed, browser string) (to string, err error)
	Finish(ctx context.Context, r authprofile.Return) (to, page string, err error)
}

// Config requires all but Clock.
type Config struct {
	Broker     broker
	ClientAddr func(*http.Request) netip.Addr
	PerAddr    *limit.Limiter
	Clock      func() time.Time
}

// Handler serves the surface.
type Handler struct{ c Config }

// New returns a handler; Mount says where it serves.
func New(c Config) *Handler {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return &Handler{c}
}

// Mount registers the surface's routes.
func (h *Handler) Mount(mux *http.ServeMux) {
	mux.Handle("GET "+authprofile.StartPath, h.route(h.start))
	mux.Handle("GET "+authprofile.CallbackPath+"{profile}", h.route(h.callback))
}

// cookie knows a browser again. Its prefix keeps other hosts from setting it, and plain
// HTTP, but for this machine's own (RFC 6265bis section 4.1.3.2).
const cookie = "__Host-carnet-signin"

// exchangeTime bounds the calls that a person waits for.
const exchangeTime = 10 * time.Second

// step is one of the two: it returns where the browser goes, or why not, and the page
// that the person may go back to, if there is one.
type step func(w http.ResponseWriter, r *http.Request, q params) (to, page string, err error)

func (h *Handler) route(f step) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet { // HEAD: who only looks begins nothing, and uses nothing up
			w.WriteHeader(http.StatusNoContent)
			return
		}
		to, page, err := h.take(w, r, f)
		if err != nil {
			refuse(w, r, page, err)
			return
		}
		header.Set("Location", to)
		w.WriteHeader(http.StatusSeeOther)
	})
}

func (h *Handler) take(w http.ResponseWriter, r *http.Request, f step) (to, page string, err error) {
	if ok, retry := h.c.PerAddr.AllowAddr(h.c.ClientAddr(r), h.c.Clock()); !ok {
		return "", "", &fault.Error{Kind: fault.Limited, Msg: "too many sign-ins from your network: wait a little", RetryAfter: retry}
	}
	q, err := readQuery(r)
	if err != nil {
		return "", "", err
	}
	ctx, cancel := context.WithTimeout(r.Context(), exchangeTime)
	defer cancel()
	return f(w, r.WithContext(ctx), q)
}

// params are the parameters of a query, each once (RFC 6749 section 3.1).
type params map[string]string

func readQuery(r *http.Request) (params, error) {
	form, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fault.New(fault.Invalid, "this address is not complete")
	}
	q := params{}
	for name, values := range form {
		if len(values) > 1 {
			return nil, fault.New(fault.Invalid, "this address has something twice")
		}
		q[name] = values[0]
	}
	return q, nil
}

// start sends the browser to the provider.
func (h *Handler) start(w http.ResponseWriter, r *http.Request, q params) (to, page string, err error) {
	browser := browserOf(r)
	if browser == "" {
		browser = rand.Text()
	}
	if to, err = h.c.Broker.Start(r.Context(), q["for"], browser); err != nil {
		return "", "", err
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookie, Value: browser, Path: "/", MaxAge: int(authprofile.SignInLife / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return to, "", nil
}

// callback takes the browser back from the provider.
func (h *Handler) callback(_ http.ResponseWriter, r *http.Request, q params) (to, page string, err error) {
	return h.c.Broker.Finish(r.Context(), authprofile.Return{
		Profile: r.PathValue("profile"), State: q["state"], Code: q["code"], Error: q["error"], Issuer: q["iss"],
		Browser: browserOf(r),
	})
}

// browserOf is what start has given the browser; empty: nothing.
func browserOf(r *http.Request) string {
	c, err := r.Cookie(cookie)
	if err != nil || len(c.Value) != len(rand.Text()) || strings.Trim(c.Value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return ""
	}
	return c.Value
}
