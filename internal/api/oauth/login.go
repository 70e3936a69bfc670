package oauth

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/token"
	"github.com/carnetproject/carnet/internal/user"
)

// credentials are what a person signs in with.
type credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
	ClientID app.ID `json:"client_id"`
	Scope    string `json:"scope"`
}

func (h *Handler) login(w http.ResponseWriter, r *http.Request) error {
	pair, err := h.signIn(w, r)
	h.c.Observe(Password, err)
	if err != nil {
		writeError(w, r, loginError(err))
		return nil
	}
	writeAnswer(w, answerOf(pair))
	return nil
}

func (h *Handler) signIn(w http.ResponseWriter, r *http.Request) (token.Pair, error) {
	h.cors().Mark(w.Header(), r.Header.Get("Origin"))
	now, addr := h.c.Clock(), h.c.ClientAddr(r)
	if ok, after := h.c.LoginPerAddr.AllowAddr(addr, now); !ok {
		return token.Pair{}, limited(after)
	}
	c, err := readCredentials(w, r)
	if err != nil {
		return token.Pair{}, err
	}
	var a *app.App
	if c.ClientID != "" {
		var ok bool
		if a, ok = h.c.Apps.Find(c.ClientID); !ok || a.Disabled {
			return token.Pair{}, errClient
		}
	}
	keepFrom(w, r, a)
	var pair token.Pair
	if err = h.countTry(c.Username, addr, now); err == nil {
		pair, err = h.signInTo(r.Context(), a, c, addr)
	}
	h.noteSignIn(c.Username, c.ClientID, addr, err)
	return pair, err
}

// countTry limits the tries to be one user, first those from one network and then
// those from all. What the first refuses does not count for the second: else anyone
// could lock a user out from a single place. And who guesses from many places is
// still stopped.
func (h *Handler) countTry(name string, addr netip.Addr, now time.Time) error {
	name = user.Normalize(name)
	if ok, after := h.c.LoginPerUser.Allow(house(addr).String()+" "+name, now); !ok {
		return limited(after)
	}
	if ok, after := h.c.LoginPerName.Allow(name, now); !ok {
		return limited(after)
	}
	return nil
}

// house is the network of whoever tries. Of IPv6 it is a /48: many get a whole one, or a
// good part, and could else be from many networks at once.
func house(a netip.Addr) netip.Prefix {
	if a = a.Unmap(); a.Is6() {
		p, _ := a.Prefix(48) // its only error is an invalid address
		return p
	}
	return limit.Network(a)
}

func (h *Handler) signInTo(ctx context.Context, a *app.App, c credentials, from netip.Addr) (token.Pair, error) {
	u, err := h.c.Users.Authenticate(ctx, c.Username, secret.FromString(c.Password), from)
	if err != nil {
		return token.Pair{}, err
	}
	scope, err := token.Grant(c.Scope, u.Scopes)
	if err != nil {
		return token.Pair{}, err
	}
	request := token.AccessRequest{Subject: string(u.ID), Scope: scope}
	if a != nil {
		request.App, request.Algorithm = a.ID, a.AccessAlgorithm
	}
	return h.c.Tokens.SignIn(ctx, request)
}

// readCredentials takes a form or JSON.
func readCredentials(w http.ResponseWriter, r *http.Request) (credentials, error) {
	var c credentials
	switch httpx.MediaType(r) {
	case "application/json":
		if err := httpx.ReadJSON(w, r, maxBody, &c); err != nil {
			return c, err
		}
	case formType:
		p, err := readForm(w, r)
		if err != nil {
			return c, err
		}
		c = credentials{p["username"], p["password"], app.ID(p["client_id"]), p["scope"]}
	default:
		return c, fault.New(fault.UnsupportedMedia, "the content type must be "+formType+" or application/json")
	}
	switch "" {
	case c.Username:
		return c, fault.BadField("username", "must not be empty")
	case c.Password:
		return c, fault.BadField("password", "must not be empty")
	}
	return c, nil
}
