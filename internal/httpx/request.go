package httpx

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
)

// Bearer is the bearer token that a request shows (RFC 6750 §2.1); "" if it shows none.
func Bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// SameOrigin tells whether a page of origin came from the host that r is for. Over TLS
// it must have come over TLS, too; behind a proxy that ends TLS one cannot tell.
func SameOrigin(origin string, r *http.Request) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin || r.TLS != nil && u.Scheme != "https" {
		return false
	}
	port, ok := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]
	return ok && strings.EqualFold(strings.TrimSuffix(u.Host, port), strings.TrimSuffix(r.Host, port))
}

// Other answers a method that the path does not serve, and an OPTIONS request that is no
// preflight. allow is the header Allow: those that it does serve, with OPTIONS.
func Other(allow string) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", allow)
		if r.Method != http.MethodOptions {
			return fault.New(fault.MethodNotAllowed, "the method must be one of "+allow)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}
