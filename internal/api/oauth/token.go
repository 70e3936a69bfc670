package oauth

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/token"
)

func (h *Handler) token(w http.ResponseWriter, r *http.Request) error {
	g, to, err := h.grant(w, r)
	if g != "" {
		h.c.Observe(g, err)
	}
	if err != nil {
		writeError(w, r, tokenError(r, err))
		return nil
	}
	writeAnswer(w, to)
	return nil
}

// grant serves the grant that is asked for. It returns no Grant for a request
// that names none of ours.
func (h *Handler) grant(w http.ResponseWriter, r *http.Request) (app.Grant, answer, error) {
	h.cors().Mark(w.Header(), r.Header.Get("Origin"))
	p, err := readForm(w, r)
	if err != nil {
		return "", answer{}, err
	}
	g := app.Grant(p["grant_type"])
	switch {
	case g == "":
		return "", answer{}, fault.BadField("grant_type", "must not be empty")
	case !slices.Contains(grants, g):
		return "", answer{}, errGrantType
	}
	a, err := h.grantee(r, g, p)
	if err != nil {
		return g, answer{}, err
	}
	keepFrom(w, r, a)
	if a != nil && !a.May(g) {
		return g, answer{}, errUnauthorized
	}
	to, err := h.give(r, g, a, p)
	h.noteGrant(r, g, a, err)
	return g, to, err
}

// grantee is who asks: the app, or nil for who signed in without one, and for one whose
// grant says who it is.
func (h *Handler) grantee(r *http.Request, g app.Grant, p params) (*app.App, error) {
	by, err := readProof(r, p)
	if err != nil {
		return nil, err
	}
	if g == app.JWTBearer && by.nameOnly() {
		return nil, nil
	}
	a, err := h.client(r.Context(), by, h.c.TokenPerApp)
	h.noteClient(r, by, err)
	if err == nil && a == nil && g != app.RefreshToken {
		return nil, errClient
	}
	return a, err
}

// grants are those that are served.
var grants = []app.Grant{app.AuthorizationCode, app.ClientCredentials, app.RefreshToken, app.JWTBearer, app.TokenExchange}

func (h *Handler) give(r *http.Request, g app.Grant, a *app.App, p params) (answer, error) {
	switch g {
	case app.AuthorizationCode:
		return h.code(r, a, p)
	case app.ClientCredentials:
		return h.clientCredentials(r, a, p)
	case app.RefreshToken:
		return h.refresh(r, a, p)
	case app.JWTBearer:
		return h.bearer(r, a, p)
	case app.TokenExchange:
		return h.exchange(r, a, p)
	default:
		return answer{}, errGrantType
	}
}

// clientCredentials gives the app a token about itself (RFC 6749 §4.4), and no
// refresh token: it can ask again.
func (h *Handler) clientCredentials(r *http.Request, a *app.App, p params) (answer, error) {
	return h.access(r.Context(), a, p, a.Scopes, token.AccessRequest{Subject: string(a.ID)})
}

// access gives a an access token for what p asks for, of no more scopes than allowed.
func (h *Handler) access(ctx context.Context, a *app.App, p params, allowed []string, request token.AccessRequest) (answer, error) {
	audience, err := h.target(a, p)
	if err != nil {
		return answer{}, err
	}
	scope, err := token.Grant(p["scope"], allowed)
	if err != nil {
		return answer{}, err
	}
	if request.Subject == string(a.ID) {
		if request.Claims, err = a.ExpandClaims(scope); err != nil {
			return answer{}, err
		}
	}
	request.App, request.Algorithm, request.Audience, request.Scope = a.ID, a.AccessAlgorithm, audience, scope
	access, err := h.c.Tokens.Access(ctx, request)
	return answerOf(token.Pair{Access: access}), err
}

// refresh goes on with a sign-in (RFC 6749 §6). One that was made without an app
// goes on without one.
func (h *Handler) refresh(r *http.Request, a *app.App, p params) (answer, error) {
	if p["refresh_token"] == "" {
		return answer{}, fault.BadField("refresh_token", "must not be empty")
	}
	client := app.ID("")
	if a != nil {
		client = a.ID
	}
	pair, err := h.c.Tokens.Refresh(r.Context(), secret.FromString(p["refresh_token"]), client, p["scope"])
	return answerOf(pair), err
}

func limited(after time.Duration) error {
	return &fault.Error{Kind: fault.Limited, Msg: "too many requests", RetryAfter: after}
}
