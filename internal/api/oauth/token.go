package oauth

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/token"
)

func (h *Handler) token(w http.ResponseWriter, r *http.Request) error {
	g, pair, err := h.grant(w, r)
	if g != "" {
		h.c.Observe(g, err)
	}
	if err != nil {
		writeError(w, r, tokenError(r, err))
		return nil
	}
	writePair(w, pair)
	return nil
}

// grant serves the grant that is asked for. It returns no Grant for a request
// that names none of ours.
func (h *Handler) grant(w http.ResponseWriter, r *http.Request) (Grant, token.Pair, error) {
	h.cors().Mark(w.Header(), r.Header.Get("Origin"))
	p, err := readForm(w, r)
	if err != nil {
		return "", token.Pair{}, err
	}
	g := Grant(p["grant_type"])
	switch g {
	case ClientCredentials, RefreshToken:
	case "":
		return "", token.Pair{}, fault.BadField("grant_type", "must be client_credentials or refresh_token")
	default:
		return "", token.Pair{}, errGrantType
	}
	a, err := h.client(r, p)
	if err != nil {
		return g, token.Pair{}, err
	}
	keepFrom(w, r, a)
	if a != nil && !a.Public { // a public app's limit could be used up by anyone
		if ok, after := h.c.TokenPerApp.Allow(string(a.ID), h.c.Clock()); !ok {
			return g, token.Pair{}, limited(after)
		}
	}
	if g == RefreshToken {
		pair, err := h.refresh(r, a, p)
		return g, pair, err
	}
	pair, err := h.clientCredentials(r, a, p)
	return g, pair, err
}

// clientCredentials gives the app a token about itself (RFC 6749 §4.4), and no
// refresh token: it can ask again.
func (h *Handler) clientCredentials(r *http.Request, a *app.App, p params) (token.Pair, error) {
	switch {
	case a == nil:
		return token.Pair{}, errClient
	case a.Public:
		return token.Pair{}, errPublic
	}
	scope, err := token.Grant(p["scope"], a.Scopes)
	if err != nil {
		return token.Pair{}, err
	}
	access, err := h.c.Tokens.Access(r.Context(), token.AccessRequest{
		App: a.ID, Subject: string(a.ID), Scope: scope, Algorithm: a.AccessAlgorithm,
	})
	return token.Pair{Access: access}, err
}

// refresh goes on with a sign-in (RFC 6749 §6). One that was made without an app
// goes on without one.
func (h *Handler) refresh(r *http.Request, a *app.App, p params) (token.Pair, error) {
	if p["refresh_token"] == "" {
		return token.Pair{}, fault.BadField("refresh_token", "must not be empty")
	}
	client := app.ID("")
	if a != nil {
		client = a.ID
	}
	return h.c.Tokens.Refresh(r.Context(), secret.FromString(p["refresh_token"]), client, p["scope"])
}

// client authenticates the app by Basic or by the form, never both (RFC 6749
// §2.3). A public app has nothing to show but its id. It is nil if the request names
// no client at all.
func (h *Handler) client(r *http.Request, p params) (*app.App, error) {
	id, given := app.ID(p["client_id"]), p["client_secret"]
	headers := r.Header.Values("Authorization")
	switch {
	case len(headers) == 0 && id == "" && given == "":
		return nil, nil
	case len(headers) > 1:
		return nil, fault.New(fault.Invalid, "the Authorization header is given twice")
	case len(headers) == 1 && given != "":
		return nil, fault.New(fault.Invalid, "the client must authenticate in one way: by the Authorization header or by client_secret")
	case len(headers) == 1:
		basicID, basicSecret, ok := basic(r)
		if !ok {
			return nil, errClient
		}
		if id != "" && id != basicID {
			return nil, fault.BadField("client_id", "must be the client of the Authorization header, or be left out")
		}
		id, given = basicID, basicSecret
	case given == "":
		if a, ok := h.c.Apps.Find(id); ok && a.Public && !a.Disabled {
			return a, nil
		}
	}
	return h.c.Apps.Authenticate(id, secret.FromString(given), h.c.Clock())
}

// basic reads HTTP Basic credentials, each form-encoded once more as RFC 6749
// §2.3.1 has it.
func basic(r *http.Request) (id app.ID, given string, ok bool) {
	rawID, rawSecret, ok := r.BasicAuth()
	if !ok {
		return "", "", false
	}
	name, err := url.QueryUnescape(rawID)
	if err != nil {
		return "", "", false
	}
	given, err = url.QueryUnescape(rawSecret)
	return app.ID(name), given, err == nil
}

func limited(after time.Duration) error {
	return &fault.Error{Kind: fault.Limited, Msg: "too many requests", RetryAfter: after}
}

// basicChallenge tells whether the client tried the Authorization header, so that
// the refusal must challenge (RFC 6749 §5.2).
func basicChallenge(r *http.Request) bool {
	return strings.TrimSpace(r.Header.Get("Authorization")) != ""
}
