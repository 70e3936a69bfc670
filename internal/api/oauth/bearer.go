package oauth

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/token"
)

// bearer gives an app a token of the user whom an assertion of its own names (RFC 7523
// §2.1). The assertion proves who the app is, too: it need not say so in another way.
func (h *Handler) bearer(r *http.Request, a *app.App, p params) (answer, error) {
	if p["assertion"] == "" {
		return answer{}, fault.BadField("assertion", "must not be empty")
	}
	as, err := h.c.Assertions.Read(r.Context(), p["assertion"])
	if err != nil {
		return answer{}, badGrant(err)
	}
	if a != nil && a.ID != as.App || a == nil && p["client_id"] != "" && app.ID(p["client_id"]) != as.App {
		return answer{}, badGrant(fault.New(fault.Unauthenticated, "the assertion is another client's"))
	}
	signer, err := h.use(r.Context(), as, h.c.TokenPerApp)
	if err != nil {
		return answer{}, badGrant(err)
	}
	if !signer.May(app.JWTBearer) {
		return answer{}, errUnauthorized
	}
	u, err := h.c.Users.ByID(r.Context(), as.Subject)
	if err == nil && u.Disabled {
		err = fault.New(fault.NotFound, "the user is disabled")
	}
	if err != nil {
		return answer{}, badGrant(err)
	}
	allowed := slices.DeleteFunc(slices.Clone(signer.UserScopes), func(s string) bool { return !slices.Contains(u.Scopes, s) })
	return h.access(r.Context(), signer, p, allowed, token.AccessRequest{Subject: string(u.ID)})
}

// badGrant makes of who is refused a grant that is: another fault stays what it is.
func badGrant(err error) error {
	switch fault.KindOf(err) {
	case fault.Unauthenticated, fault.NotFound:
		return fault.Wrap(fault.Unauthenticated, "the assertion is not good", fmt.Errorf("%w: %w", token.ErrGrant, err))
	default:
		return err
	}
}
