package oauth

import (
	"cmp"
	"net/http"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/token"
)

// revoke takes a token back that the client has (RFC 7009). Whether there was anything to
// take back it does not say: 200 means that the token is good for nothing.
func (h *Handler) revoke(w http.ResponseWriter, r *http.Request) error {
	if err := h.takeBack(w, r); err != nil {
		writeError(w, r, tokenError(r, err))
		return nil
	}
	noStore(w)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h *Handler) takeBack(w http.ResponseWriter, r *http.Request) error {
	h.cors().Mark(w.Header(), r.Header.Get("Origin"))
	a, p, err := h.caller(w, r)
	if err != nil {
		return err
	}
	keepFrom(w, r, a)
	client := app.ID("")
	if a != nil {
		client = a.ID
	}
	// token_type_hint is not needed: no token is of both kinds (RFC 7009 §2.1).
	if err := h.c.Tokens.Revoke(r.Context(), secret.FromString(p["token"]), client); err != nil {
		return err
	}
	t, err := h.c.Access.Verify(r.Context(), p["token"])
	if err != nil {
		return nil //nolint:nilerr // it is good for nothing already (§2.2)
	}
	return h.c.Tokens.RevokeAccess(r.Context(), t, cmp.Or(client, token.Itself))
}

// caller reads a request about a token, and whose it is: nil for who signed in without an
// app.
func (h *Handler) caller(w http.ResponseWriter, r *http.Request) (*app.App, params, error) {
	p, err := readForm(w, r)
	if err != nil {
		return nil, nil, err
	}
	by, err := readProof(r, p)
	if err != nil {
		return nil, nil, err
	}
	a, err := h.client(r.Context(), by, h.c.AboutPerApp)
	h.noteClient(r, by, err)
	if err != nil {
		return nil, nil, err
	}
	if p["token"] == "" {
		return nil, nil, fault.BadField("token", "must not be empty")
	}
	return a, p, nil
}
