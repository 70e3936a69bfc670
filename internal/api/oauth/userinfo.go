package oauth

import (
	"net/http"
	"slices"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/signin"
)

// userInfo is OpenID Connect Core §5.3.2's.
type userInfo struct {
	Subject string `json:"sub"`
	Name    string `json:"preferred_username,omitempty"`
}

// userInfoHandler tells who an access token with the scope openid stands for.
func (h *Handler) userInfoHandler() http.Handler {
	mine := func(t *carnet.Verified) error {
		if !slices.Contains(t.Audience(), h.c.Audience) {
			return carnet.ErrAudience
		}
		return nil
	}
	return carnet.Middleware(h.c.Access, mine, carnet.RequireScopes(signin.OpenID))(httpx.Handler(h.userInfo))
}

func (h *Handler) userInfo(w http.ResponseWriter, r *http.Request) error {
	t, _ := carnet.PrincipalFrom(r.Context()) // the middleware has put it there
	u, err := h.c.Users.ByID(r.Context(), t.Subject())
	if err == nil && u.Disabled {
		err = fault.New(fault.NotFound, "the user is disabled")
	}
	if fault.KindOf(err) == fault.NotFound {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		return fault.Wrap(fault.Unauthenticated, "the token is not good", err)
	}
	if err != nil {
		return err
	}
	told := userInfo{Subject: t.Subject()}
	if t.HasScope(signin.Profile) {
		told.Name = u.Name
	}
	noStore(w)
	httpx.WriteJSON(w, http.StatusOK, told)
	return nil
}
