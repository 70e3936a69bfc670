package httpx

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// preflightAge is how long a browser may remember a preflight's answer.
const preflightAge = 10 * time.Minute

// CORS says which pages may call a resource from a browser. The zero value
// allows none, and cookies are for those alone that Cookies names: Carnet's
// callers send tokens.
type CORS struct {
	Public  bool                     // any origin may; for what holds no secret
	Allow   func(origin string) bool // which others may; nil: none
	Cookies func(origin string) bool // which of them may send cookies; nil: none
	Methods []string                 // of a preflight's answer; OPTIONS need not be named
	Headers []string                 // request headers that pages may set
}

// Wrap lets allowed origins read what next answers, and answers preflights by
// itself. A request of another origin is served all the same: CORS protects the
// reader in the browser, not the resource.
func (c CORS) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allowed := c.Mark(w.Header(), r.Header.Get("Origin"))
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
		if allowed {
			c.preflight(w.Header())
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// Mark sets the headers of an answer to origin and tells whether it may read
// it. It serves handlers that know the allowed origins only when they have
// read the request. Origins are compared byte by byte.
func (c CORS) Mark(h http.Header, origin string) bool {
	if c.Public {
		h.Set("Access-Control-Allow-Origin", "*")
		return true
	}
	h.Add("Vary", "Origin")
	if origin == "" || origin == "null" || c.Allow == nil || !c.Allow(origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if c.Cookies != nil && c.Cookies(origin) {
		h.Set(allowCookies, "true")
	}
	return true
}

const allowCookies = "Access-Control-Allow-Credentials"

// Unmark takes back what Mark allowed: the origin, unless it is listed, and its cookies
// unless they are taken, too.
func (CORS) Unmark(h http.Header, listed, cookies bool) {
	if !listed {
		h.Del("Access-Control-Allow-Origin")
	}
	if !listed || !cookies {
		h.Del(allowCookies)
	}
}

func (c CORS) preflight(h http.Header) {
	h.Set("Access-Control-Allow-Methods", strings.Join(c.Methods, ", "))
	if len(c.Headers) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(c.Headers, ", "))
	}
	h.Set("Access-Control-Max-Age", strconv.Itoa(int(preflightAge.Seconds())))
}
