package chat

import (
	"net/http"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
)

// checkOrigin looks where the page is that connects. It returns the origin that the
// token's app must list; none if the page is this server's own, or no browser is there.
func (h *Handler) checkOrigin(r *http.Request) (mustList string, err error) {
	switch given := r.Header.Values("Origin"); {
	case len(given) == 0:
		return "", nil
	case len(given) > 1:
		return "", fault.BadField("Origin", "must be given once")
	case httpx.SameOrigin(given[0], r):
		return "", nil
	case !h.c.AllowsOrigin(given[0]):
		return "", fault.New(fault.Denied, "the origin of this page is not allowed: an app must list it")
	default:
		return given[0], nil
	}
}

// cors is what a preflight gets: it does not say whose token will be shown, so any
// app's origin will do.
func (h *Handler) cors(method string, headers ...string) httpx.CORS {
	return httpx.CORS{
		Allow:   h.c.AllowsOrigin,
		Methods: []string{method},
		Headers: append([]string{"Authorization"}, headers...),
	}
}

// post serves what pages ask for with POST.
func (h *Handler) post(serve httpx.Handler) http.Handler {
	return h.cors(http.MethodPost, "Content-Type").Wrap(httpx.Handler(func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", "POST, OPTIONS")
			return fault.New(fault.MethodNotAllowed, "the method must be POST")
		}
		return serve(w, r)
	}))
}
