// Package oauth serves sign-in, OAuth 2 and OpenID Connect: /login, the pages on which
// people sign in, consent and see their account, the endpoints for tokens, the published
// keys and the metadata (RFC 6749, 7009, 7517, 7662, 8414; OpenID Connect Core, Discovery).
package oauth

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/signin"
	"github.com/carnetproject/carnet/internal/token"
	"github.com/carnetproject/carnet/internal/user"
)

// apps is what the surface asks of the apps' directory.
type apps interface {
	Find(id app.ID) (*app.App, bool)
	Authenticate(ctx context.Context, id app.ID, given secret.Bytes, now time.Time) (*app.App, error)
	AllowsOrigin(origin string) bool
}

// users checks passwords, and knows who may go on.
type users interface {
	Authenticate(ctx context.Context, name string, password secret.Bytes, from netip.Addr) (user.User, error)
	Active(ctx context.Context, subject string) (bool, error)
	// ByID is the user of a subject, with the scopes that are known of them without their
	// sign-in; fault.NotFound.
	ByID(ctx context.Context, subject string) (user.User, error)
	passwords
}

// issuer issues tokens, carries them on and takes them back.
type issuer interface {
	Access(ctx context.Context, r token.AccessRequest) (token.Access, error)
	SignIn(ctx context.Context, r token.AccessRequest) (token.Pair, error)
	Refresh(ctx context.Context, t secret.Bytes, client app.ID, scope string) (token.Pair, error)
	Exchange(ctx context.Context, x token.Exchange) (token.Access, error)
	Inspect(ctx context.Context, t secret.Bytes, client app.ID) (token.Family, bool, error)
	Revoke(ctx context.Context, t secret.Bytes, client app.ID) error
	RevokeAccess(ctx context.Context, t *carnet.Verified, client app.ID) error
	beginner
}

// verifier verifies access tokens of this issuer, for whatever audience.
type verifier interface {
	Verify(ctx context.Context, token string) (*carnet.Verified, error)
}

// assertions reads what apps sign by keys of their own.
type assertions interface {
	Read(ctx context.Context, jwt string) (token.Assertion, error)
	Use(ctx context.Context, a token.Assertion) error
}

// keys publishes the verification keys of a set as a JWKS.
type keys interface {
	JWKS(set key.SetName, now time.Time) ([]byte, error) // fault.NotFound
}

// Password is /login's, and none of the token endpoint's grants.
const Password app.Grant = "password"

// Config requires all but Observe, Audit and Clock.
type Config struct {
	Issuer     string // the base of all URLs in the metadata, without a slash at its end
	Audience   string // of access tokens, unless another one is asked for
	Apps       apps
	Users      users
	Tokens     issuer
	Access     verifier
	Assertions assertions
	SignIns    *signin.Book
	Title      string // what the pages call this place
	Keys       keys
	ClientAddr func(*http.Request) netip.Addr

	LoginPerAddr *limit.Limiter
	LoginPerUser *limit.Limiter // by name and network, whether or not there is such a user
	LoginPerName *limit.Limiter // by name, from all networks; more than LoginPerUser
	TokenPerApp  *limit.Limiter
	AboutPerApp  *limit.Limiter // of requests about a token

	Observe func(g app.Grant, err error) // called once per request for a token; nil: nobody looks
	Audit   *audit.Log                   // nil: none
	Clock   func() time.Time             // nil: time.Now
}

// Handler serves the surface.
type Handler struct{ c Config }

// New returns a handler; Mount says where it serves.
func New(c Config) *Handler {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Observe == nil {
		c.Observe = func(app.Grant, error) {}
	}
	return &Handler{c}
}

// Mount serves the surface's paths.
func (h *Handler) Mount(mux *http.ServeMux) {
	for path, serve := range map[string]httpx.Handler{
		"/login": h.login, "/oauth2/token": h.token, "/oauth2/revoke": h.revoke, "/oauth2/introspect": h.introspect,
	} {
		mux.Handle("POST "+path, serve)
		mux.Handle(path, h.cors().Wrap(httpx.Other("POST, OPTIONS")))
	}
	h.mountPages(mux)
	public := httpx.CORS{Public: true, Methods: []string{http.MethodGet}}
	for path, serve := range map[string]httpx.Handler{
		"/.well-known/jwks.json":                  h.accessKeys,
		"/keysets/{name}/jwks.json":               h.keySet,
		"/.well-known/oauth-authorization-server": h.metadata,
		"/.well-known/openid-configuration":       h.metadata,
	} {
		mux.Handle("GET "+path, public.Wrap(serve))
		mux.Handle(path, public.Wrap(httpx.Other("GET, HEAD, OPTIONS")))
	}
}

// cors is what a preflight gets: it does not say which app it is for, so any
// app's origin will do.
func (h *Handler) cors() httpx.CORS {
	return httpx.CORS{
		Allow:   h.c.Apps.AllowsOrigin,
		Methods: []string{http.MethodPost},
		Headers: []string{"Authorization", "Content-Type"},
	}
}

// keepFrom takes the answer from the pages of other apps than a; nil is no app,
// which has no pages.
func keepFrom(w http.ResponseWriter, r *http.Request, a *app.App) {
	if a == nil || !app.ListsOrigin(a.Origins, r.Header.Get("Origin")) {
		w.Header().Del("Access-Control-Allow-Origin")
	}
}
