package oauth

import (
	"encoding/json"
	"net/http"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/secret"
)

// aboutRefresh is RFC 7662 §2.2's of a refresh token. Of an access token the members are
// its claims, which have the same names.
type aboutRefresh struct {
	Active   bool   `json:"active"`
	Scope    string `json:"scope,omitempty"`
	ClientID app.ID `json:"client_id"`
	Subject  string `json:"sub"`
	Issuer   string `json:"iss"`
	Expiry   int64  `json:"exp"`
	IssuedAt int64  `json:"iat"`
}

// The answers about access tokens begin so.
const (
	inactive = `{"active":false}`
	active   = `{"active":true,"token_type":"Bearer",`
)

// introspect tells an app what a token is good for (RFC 7662). Of one that is not good, or
// no business of the app's, it says that alone.
func (h *Handler) introspect(w http.ResponseWriter, r *http.Request) error {
	told, err := h.tell(w, r)
	if err != nil {
		writeError(w, r, tokenError(r, err))
		return nil
	}
	noStore(w)
	httpx.WriteJSON(w, http.StatusOK, told)
	return nil
}

func (h *Handler) tell(w http.ResponseWriter, r *http.Request) (any, error) {
	a, p, err := h.caller(w, r)
	if err != nil {
		return nil, err
	}
	if a == nil || a.Public { // anyone could ask in its name (§2.1)
		return nil, errClient
	}
	f, good, err := h.c.Tokens.Inspect(r.Context(), secret.FromString(p["token"]), a.ID)
	if err != nil {
		return nil, err
	}
	if good {
		return aboutRefresh{
			Active: true, Scope: f.Scope, ClientID: a.ID, Subject: f.Subject, Issuer: h.c.Issuer,
			Expiry: f.Expires.Unix(), IssuedAt: f.Created.Unix(),
		}, nil
	}
	t, err := h.c.Access.Verify(r.Context(), p["token"])
	if err != nil || !h.sees(a, t) || h.disabled(app.ID(revocation.Of(t).App)) {
		return json.RawMessage(inactive), nil //nolint:nilerr // why it is not good is nobody's business (§2.2)
	}
	return json.RawMessage(active + string(t.Claims()[1:])), nil
}

// disabled tells whether an app was refused since it got its token.
func (h *Handler) disabled(id app.ID) bool {
	a, ok := h.c.Apps.Find(id)
	return ok && a.Disabled
}
