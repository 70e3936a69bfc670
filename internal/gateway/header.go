package gateway

import (
	"net/http"
	"net/netip"
	"strings"
)

// kind is what the gateway does with a request header.
type kind uint8

const (
	ordinary   kind = iota
	identity        // ours alone to say: who asks
	forwarding      // a proxy's to say: where the request came from, and for what
)

// longestReserved is the length of the longest name that is not ordinary.
const longestReserved = len("x-credential-identifier")

// kindOf reads a name in any case and with any sign for a dash: what CGI-like
// upstreams take for the same header.
func kindOf(name string) kind {
	if len(name) > longestReserved || len(name) < len("forwarded") || name[0]|0x20 != 'x' && name[0]|0x20 != 'f' {
		return ordinary
	}
	var folded [longestReserved]byte
	for i := range len(name) {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			folded[i] = c | 0x20
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			folded[i] = c
		default:
			folded[i] = '-'
		}
	}
	switch s := folded[:len(name)]; string(s) {
	case "x-consumer-id", "x-consumer-custom-id", "x-consumer-username", "x-consumer-groups",
		"x-credential-identifier", "x-anonymous-consumer":
		return identity
	case "forwarded", "x-real-ip", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
		"x-forwarded-port", "x-forwarded-path", "x-forwarded-prefix", "x-forwarded-scheme",
		"x-forwarded-server", "x-forwarded-ssl",
		// Some upstreams take these for the request itself.
		"x-forwarded-method", "x-forwarded-uri", "x-original-method", "x-original-host",
		"x-original-uri", "x-original-url", "x-rewrite-url":
		return forwarding
	default:
		return ordinary
	}
}

// stripReserved removes from h every header that the gateway says itself.
func stripReserved(h http.Header) {
	for name := range h {
		if kindOf(name) != ordinary {
			delete(h, name)
		}
	}
}

// identityHeaders are all that identify may say, but for claims.
var identityHeaders = []string{
	"X-Consumer-Id", "X-Consumer-Custom-Id", "X-Consumer-Username", "X-Consumer-Groups",
	"X-Credential-Identifier", "X-Anonymous-Consumer",
}

// says names the headers by which the upstreams of r may be told of the caller.
func (r *route) says() []string {
	names := identityHeaders
	for _, s := range r.stages.before {
		if jwt, ok := s.(*jwtStage); ok {
			for _, h := range jwt.told {
				names = append(names[:len(names):len(names)], h.header)
			}
		}
	}
	return names
}

// identify tells the upstream who asks. It comes after the hop-by-hop headers
// were removed, so that no Connection header can name these.
func identify(h http.Header, r *request) {
	if p := r.principal; p != nil {
		h["X-Consumer-Id"] = []string{p.Consumer.ID}
		if p.Consumer.Username != "" {
			h["X-Consumer-Username"] = []string{p.Consumer.Username}
		}
		if p.Consumer.CustomID != "" {
			h["X-Consumer-Custom-Id"] = []string{p.Consumer.CustomID}
		}
		if p.Credential == nil {
			h["X-Anonymous-Consumer"] = []string{"true"}
		}
	}
	if r.identifier != "" {
		h["X-Credential-Identifier"] = []string{r.identifier}
	}
	for _, l := range r.told {
		h[l.name] = []string{l.value}
	}
	if r.grouped {
		h["X-Consumer-Groups"] = []string{r.groups}
	}
}

// forward tells the upstream where in came from. What a peer that is not trusted
// says of that is replaced, what a trusted one says is kept and added to. Forwarded
// (RFC 7239) is dropped from either: the chain is told once.
func forward(h http.Header, in *http.Request, client netip.Addr, peer netip.Addr, trusted bool) {
	chain, host, proto := peer.String(), in.Host, "http"
	if in.TLS != nil {
		proto = "https"
	}
	if trusted {
		if before := strings.Join(in.Header["X-Forwarded-For"], ", "); before != "" {
			chain = before + ", " + chain
		}
		for _, name := range []string{"X-Forwarded-Port", "X-Forwarded-Path", "X-Forwarded-Prefix"} {
			if values := in.Header[name]; len(values) > 0 {
				h[name] = values[:1:1]
			}
		}
		if v := in.Header.Get("X-Forwarded-Host"); v != "" {
			host = v
		}
		if v := in.Header.Get("X-Forwarded-Proto"); v != "" {
			proto = v
		}
	}
	h["X-Forwarded-For"] = []string{chain}
	h["X-Forwarded-Host"] = []string{host}
	h["X-Forwarded-Proto"] = []string{proto}
	h["X-Real-Ip"] = []string{client.String()}
}

// secure tells whether r came over TLS: to us, or to a trusted proxy before us, of
// which the nearest is believed.
func secure(r *http.Request, trusted bool) bool {
	if protos := r.Header["X-Forwarded-Proto"]; trusted && len(protos) > 0 {
		last := protos[len(protos)-1]
		return strings.EqualFold(strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:]), "https")
	}
	return r.TLS != nil
}

// peerOf is the address that r came from, 0.0.0.0 if that was no network.
func peerOf(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.IPv4Unspecified()
	}
	return at.Addr().Unmap().WithZone("")
}

// withoutTunnel returns r without an upgrade to anything but WebSocket: h2c would
// open a way past all checks. r itself is not changed.
func withoutTunnel(r *http.Request) *http.Request {
	up := r.Header["Upgrade"]
	if len(up) == 0 || len(up) == 1 && strings.EqualFold(up[0], "websocket") {
		return r
	}
	out := new(*r)
	out.Header = r.Header.Clone()
	delete(out.Header, "Upgrade")
	delete(out.Header, "Http2-Settings")
	return out
}

// hopByHop are the headers that end here (RFC 9110 §7.6.1).
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// stripHop removes what h says of this connection alone.
func stripHop(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			delete(h, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}
