package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
)

// match is one combination that a route claims; two routes must not claim the same.
type match struct{ host, method, path, headers string }

func (v *validator) route(at string, r *Route) {
	v.name(at+".name", r.Name, v.routes)
	if len(r.Hosts)+len(r.Methods)+len(r.Paths)+len(r.Headers) == 0 {
		v.bad(at, "name at least one of hosts, methods, paths and headers")
	}
	for i, h := range r.Hosts {
		if _, ok := parseHost(h); !ok {
			v.bad(fmt.Sprintf("%s.hosts[%d]", at, i), "%q is not a host: write example.com, an IP address, *.example.com, or example.*", h)
		}
	}
	for i, m := range r.Methods {
		if m == "" || strings.Trim(m, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" {
			v.bad(fmt.Sprintf("%s.methods[%d]", at, i), "%q is not a method in upper case", m)
		}
	}
	for i, p := range r.Paths {
		v.path(fmt.Sprintf("%s.paths[%d]", at, i), p)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		v.header(at+".headers."+name, name, r.Headers[name])
	}
	v.protocols(at, r)
	v.claim(at, r)
	v.plugins(at+".plugins", &r.Plugins)
}

func (v *validator) path(at, p string) {
	text, is := expression(p)
	switch {
	case is && !strings.HasPrefix(text, "/"):
		v.bad(at, `%q: an expression starts with "~/"`, p)
	case is:
		v.expression(at, text)
	default:
		if normal, err := normalPath(p); err != nil || normal != p {
			v.bad(at, `%q must start with "/" and be in normal form: no dot segments, no "//", no needless escapes`, p)
		}
	}
}

func (v *validator) verifyPath(p string) {
	if normal, err := normalPath(p); err != nil || normal != p || strings.HasSuffix(p, "/") {
		v.bad("verify_path", `%q must be a path in normal form such as "/verify", without a slash at the end`, p)
	}
}

func (v *validator) expression(at, text string) {
	if _, err := compileExpression("", text, ""); err != nil {
		v.bad(at, "%q %s", text, fault.Public(err).Msg)
	}
}

func (v *validator) header(at, name string, values []string) {
	if !validHeader(name) || http.CanonicalHeaderKey(name) == "Host" {
		v.bad(at, "write the name of a header other than Host, which hosts are for")
	}
	if len(values) == 0 {
		v.bad(at, "name at least one value")
	}
	for i, value := range values {
		if text, is := strings.CutPrefix(value, "~*"); is && len(values) == 1 {
			v.expression(fmt.Sprintf("%s[%d]", at, i), text)
		}
	}
}

// validHeader tells whether name is a token (RFC 9110 §5.6.2).
func validHeader(name string) bool {
	const special = "!#$%&'*+-.^_`|~"
	for i := range len(name) {
		c := name[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && strings.IndexByte(special, c) < 0 {
			return false
		}
	}
	return name != ""
}

func (v *validator) protocols(at string, r *Route) {
	for i, p := range r.Protocols {
		if p != "http" && p != "https" {
			v.bad(fmt.Sprintf("%s.protocols[%d]", at, i), "%q: expected one of: http, https", p)
		}
	}
	switch r.HTTPSRedirect {
	case 0, http.StatusUpgradeRequired, http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		v.bad(at+".https_redirect_status_code", "expected one of: 426, 301, 302, 307, 308")
	}
}

// claim reports the combinations of host, method, path and headers of r that an
// earlier route has: which of the two would answer is nobody's decision.
func (v *validator) claim(at string, r *Route) {
	headers := ""
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		headers += fmt.Sprintf("%s %q\n", strings.ToLower(name), slices.Sorted(slices.Values(r.Headers[name])))
	}
	for _, host := range orAny(r.Hosts) {
		for _, method := range orAny(r.Methods) {
			for _, path := range orAny(r.Paths) {
				m := match{strings.ToLower(host), method, path, headers}
				if _, is := expression(path); !is {
					m.path = strings.TrimRight(path, "/")
				}
				if first, taken := v.matches[m]; taken {
					v.bad(at, "matches the same requests as %s (host %q, method %q, path %q)", first, host, method, path)
					return
				}
				v.matches[m] = at
			}
		}
	}
}
