package httpx

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
)

// ClientAddr returns a function that finds where a request comes from: the peer
// itself, or, if the peer is in a trusted network, the rightmost address of
// X-Forwarded-For that is not trusted. What stands left of that one is the
// client's own word and is never read. The address has no zone and is IPv4
// where it can be; it is the zero Addr if the peer has none (a Unix socket).
func ClientAddr(trusted []netip.Prefix) func(*http.Request) netip.Addr {
	return func(r *http.Request) netip.Addr {
		addr := peer(r)
		if !contains(trusted, addr) {
			return addr
		}
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0; i-- {
			hop, ok := parseHop(hops[i])
			if !ok {
				return addr // nobody vouches for what stands further left
			}
			addr = hop
			if !contains(trusted, addr) {
				return addr
			}
		}
		return addr
	}
}

// Trusts returns a function that tells whether a request's peer is in a trusted network.
func Trusts(trusted []netip.Prefix) func(*http.Request) bool {
	return func(r *http.Request) bool { return contains(trusted, peer(r)) }
}

// Secure returns a function that tells whether a request came over HTTPS: to us, or, if
// a peer in a trusted network says so in X-Forwarded-Proto, to that one. A peer on
// loopback is exempt, unless it is trusted and says that its own client used plain HTTP.
func Secure(trusted []netip.Prefix) func(*http.Request) bool {
	return func(r *http.Request) bool { return secure(r, trusted) }
}

// RequireHTTPS refuses requests that are not [Secure].
func RequireHTTPS(trusted []netip.Prefix) func(http.Handler) http.Handler {
	secure := Secure(trusted)
	return func(next http.Handler) http.Handler {
		return Handler(func(w http.ResponseWriter, r *http.Request) error {
			if !secure(r) {
				return fault.New(fault.Denied, "https is required")
			}
			next.ServeHTTP(w, r)
			return nil
		})
	}
}

// LoopbackHost is for a listener on loopback. It refuses requests for any host but
// localhost or an address: a page whose own name was made to lead here (DNS
// rebinding) could read the answers as its own.
func LoopbackHost(next http.Handler) http.Handler {
	return Handler(func(w http.ResponseWriter, r *http.Request) error {
		if !loopbackName((&url.URL{Host: r.Host}).Hostname()) {
			return fault.New(fault.Denied, "the host must be localhost or an IP address")
		}
		next.ServeHTTP(w, r)
		return nil
	})
}

func loopbackName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	_, err := netip.ParseAddr(host)
	return err == nil || host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func secure(r *http.Request, trusted []netip.Prefix) bool {
	addr := peer(r)
	if protos := r.Header.Values("X-Forwarded-Proto"); len(protos) > 0 && contains(trusted, addr) {
		last := protos[len(protos)-1]
		last = last[strings.LastIndexByte(last, ',')+1:]
		return strings.EqualFold(strings.TrimSpace(last), "https")
	}
	return r.TLS != nil || addr.IsLoopback()
}

// peer is the address at the other end of the connection.
func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// parseHop reads an element of X-Forwarded-For; some proxies write a port, too.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return addr.Unmap().WithZone(""), err == nil
}

func contains(networks []netip.Prefix, addr netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}
