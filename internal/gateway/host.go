package gateway

import (
	"net/netip"
	"strings"
)

// hostRule is the hosts that a route is for.
type hostRule struct {
	form hostForm
	name string // in lower case: a whole name, ".example.com" or "example."
	port string // "" any
}

// hostForm is how a rule's name is compared. A higher one is more specific.
type hostForm uint8

const (
	anyHost    hostForm = iota
	hostBegins          // example.*
	hostEnds            // *.example.com
	wholeHost
)

// parseHost reads a name, an address, "*." and a name, or a name and ".*", each
// with or without a port. ok is false if h is none of these.
func parseHost(h string) (rule hostRule, ok bool) {
	rule.name, rule.port = splitPort(strings.ToLower(h))
	if strings.HasSuffix(h, ":") || strings.Trim(rule.port, "0123456789") != "" || len(rule.port) > 5 {
		return rule, false
	}
	if inner, v6 := strings.CutPrefix(rule.name, "["); v6 {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		rule.form = wholeHost
		return rule, err == nil && addr.Is6() && strings.HasSuffix(rule.name, "]")
	}
	plain := rule.name
	switch {
	case strings.HasPrefix(plain, "*."):
		rule.form, rule.name, plain = hostEnds, plain[1:], plain[2:]
	case strings.HasSuffix(plain, ".*"):
		rule.form, rule.name, plain = hostBegins, plain[:len(plain)-1], plain[:len(plain)-2]
	default:
		rule.form = wholeHost
	}
	return rule, validName(plain)
}

// matches compares a name in lower case. A wildcard stands for one label or more.
func (r *hostRule) matches(host, port string) bool {
	if r.port != "" && r.port != port {
		return false
	}
	switch r.form {
	case anyHost:
		return true
	case hostEnds:
		return len(host) > len(r.name) && strings.HasSuffix(host, r.name)
	case hostBegins:
		return len(host) > len(r.name) && strings.HasPrefix(host, r.name)
	default:
		return host == r.name
	}
}

// rank is higher for the rule that says more.
func (r *hostRule) rank() int {
	rank := 0
	if r.form != anyHost {
		rank = 2
	}
	if r.form == wholeHost {
		rank = 4
	}
	if r.port != "" {
		rank++
	}
	return rank
}

// hostOf is the name and the port that a request is for: the name in lower case and
// without the final dot, the port of the scheme if none is named.
func hostOf(host string, secure bool) (name, port string) {
	name, port = splitPort(host)
	if port == "" {
		port = "80"
		if secure {
			port = "443"
		}
	}
	return strings.ToLower(strings.TrimSuffix(name, ".")), port
}

// splitPort takes the port off. Brackets stay.
func splitPort(host string) (name, port string) {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return host[:i], host[i+1:]
	}
	return host, ""
}

// validHost tells whether host has only bytes that an HTTP/1 server takes in a Host
// header (RFC 3986 §3.2.2).
func validHost(host string) bool {
	for i := range len(host) {
		if c := host[i]; c == '@' || !literal(c) && strings.IndexByte("[]%;", c) < 0 {
			return false
		}
	}
	return true
}

// validName tells whether name, in lower case, is made of labels as host names are.
func validName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		ok := label != "" && len(label) <= 63 && label[0] != '-' && label[len(label)-1] != '-'
		ok = ok && strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
		if !ok {
			return false
		}
	}
	return true
}
