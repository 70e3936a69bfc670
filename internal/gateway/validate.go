package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
)

// Bounds of what a configuration may ask for.
const (
	maxExpiration = 31536000 // Kong's: one year, in seconds
	maxNameLength = 255      // bytes; an issuer may be a URL
)

// Validate reports every mistake in c at once: the error joins one [fault.Error]
// each, whose Field is the path of the member, such as "services[0].routes[1].paths[0]".
// It opens no secret and reaches for nothing outside c.
func (c *Config) Validate() error {
	v := &validator{config: c, credentials: map[string]*JWTSecret{}, routes: map[string]string{}, matches: map[match]string{}}
	if c.Cache < 0 {
		v.bad("cache", "write a size such as 64MiB, or 0 for the default")
	}
	v.consumers()
	v.plugins("plugins", &c.Plugins)
	services := map[string]string{}
	for i := range c.Services {
		s, at := &c.Services[i], fmt.Sprintf("services[%d]", i)
		v.name(at+".name", s.Name, services)
		v.service(at, s)
	}
	for i := range c.Overrides {
		v.override(fmt.Sprintf("overrides[%d]", i), &c.Overrides[i], services)
	}
	return errors.Join(v.errs...)
}

// override requires two things that exist. A consumer may be one of the store's.
func (v *validator) override(at string, o *Override, services map[string]string) {
	named := 0
	for _, name := range []string{o.Consumer, o.Service, o.Route} {
		if name != "" {
			named++
		}
	}
	if named < 2 {
		v.bad(at, "name at least two of consumer, service and route; plugins of one thing stand with it")
	}
	if o.Consumer != "" && !headerText(o.Consumer) {
		v.bad(at+".consumer", "write the username of a consumer")
	}
	if _, ok := services[o.Service]; o.Service != "" && !ok {
		v.bad(at+".service", "there is no service %q", o.Service)
	}
	if _, ok := v.routes[o.Route]; o.Route != "" && !ok {
		v.bad(at+".route", "there is no route %q", o.Route)
	}
	if o.Consumer != "" {
		v.consumerPlugins(at+".plugins", &o.Plugins)
	} else {
		v.plugins(at+".plugins", &o.Plugins)
	}
}

// consumerPlugins refuses plugins that run before the consumer is known: Kong takes
// some of them and then never runs them.
func (v *validator) consumerPlugins(at string, p *Plugins) {
	if p.JWT != nil {
		v.bad(at+".jwt", "cannot be attached to a consumer: it is what finds out who the consumer is")
	}
	if p.ACL != nil {
		v.bad(at+".acl", "cannot be attached to a consumer: give it other groups")
	}
	v.plugins(at, p)
}

// match is one combination that a route claims; two routes must not claim the same.
type match struct{ host, method, path string }

type validator struct {
	config      *Config
	credentials map[string]*JWTSecret // by key
	routes      map[string]string     // name → where it is first used
	matches     map[match]string
	errs        []error
}

func (v *validator) bad(at, format string, args ...any) {
	v.errs = append(v.errs, fault.BadField(at, fmt.Sprintf(format, args...)))
}

// name requires a name that no earlier member of the same kind has.
func (v *validator) name(at, name string, used map[string]string) {
	switch first, taken := used[name]; {
	case !plainName(name):
		v.bad(at, "write a name of 1 to %d printable ASCII characters without blanks", maxNameLength)
	case taken:
		v.bad(at, "%q is already the value of %s", name, first)
	default:
		used[name] = at
	}
}

func (v *validator) service(at string, s *Service) {
	if _, err := parseUpstream(s.URL); err != nil {
		v.errs = append(v.errs, fault.BadField(at+".url", err.Error()))
	}
	if s.ConnectTimeout < 0 {
		v.bad(at+".connect_timeout", "must not be negative")
	}
	if s.ReadTimeout < 0 {
		v.bad(at+".read_timeout", "must not be negative")
	}
	v.plugins(at+".plugins", &s.Plugins)
	for i := range s.Routes {
		v.route(fmt.Sprintf("%s.routes[%d]", at, i), &s.Routes[i])
	}
}

func (v *validator) route(at string, r *Route) {
	v.name(at+".name", r.Name, v.routes)
	if len(r.Hosts)+len(r.Methods)+len(r.Paths) == 0 {
		v.bad(at, "name at least one of hosts, methods and paths")
	}
	for i, h := range r.Hosts {
		if !validHost(h) {
			v.bad(fmt.Sprintf("%s.hosts[%d]", at, i), "%q is not a host: write example.com, an IP address, or *.example.com, without a port", h)
		}
	}
	for i, m := range r.Methods {
		if m == "" || strings.Trim(m, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" {
			v.bad(fmt.Sprintf("%s.methods[%d]", at, i), "%q is not a method in upper case", m)
		}
	}
	for i, p := range r.Paths {
		if normal, err := normalPath(p); err != nil || normal != p {
			v.bad(fmt.Sprintf("%s.paths[%d]", at, i), `%q must start with "/" and be in normal form: no dot segments, no "//", no needless escapes`, p)
		}
	}
	v.claim(at, r)
	v.plugins(at+".plugins", &r.Plugins)
}

// claim reports the combinations of host, method and path of r that an earlier
// route has: which of the two would answer is nobody's decision.
func (v *validator) claim(at string, r *Route) {
	for _, host := range orAny(r.Hosts) {
		for _, method := range orAny(r.Methods) {
			for _, path := range orAny(r.Paths) {
				m := match{strings.ToLower(host), method, strings.TrimRight(path, "/")}
				if first, taken := v.matches[m]; taken {
					v.bad(at, "matches the same requests as %s (host %q, method %q, path %q)", first, host, method, path)
					return
				}
				v.matches[m] = at
			}
		}
	}
}

func orAny(list []string) []string {
	if len(list) == 0 {
		return []string{""}
	}
	return list
}

func (v *validator) plugins(at string, p *Plugins) {
	if p.JWT != nil {
		v.jwt(at+".jwt", p.JWT)
	}
	if p.ACL != nil {
		v.acl(at+".acl", p.ACL)
	}
}

func (v *validator) jwt(at string, j *JWT) {
	for i, p := range j.IssuerPrefixes {
		v.prefix(fmt.Sprintf("%s.issuer_prefixes[%d]", at, i), p)
	}
	for _, list := range []struct {
		name  string
		names []string
	}{{"uri_param_names", j.QueryNames}, {"cookie_names", j.CookieNames}, {"header_names", j.HeaderNames}} {
		for i, n := range list.names {
			if !plainName(n) {
				v.bad(fmt.Sprintf("%s.%s[%d]", at, list.name, i), "must be 1 to %d printable ASCII characters without blanks", maxNameLength)
			}
		}
	}
	for i, claim := range j.ClaimsToVerify {
		if claim != "exp" && claim != "nbf" {
			v.bad(fmt.Sprintf("%s.claims_to_verify[%d]", at, i), "%q: expected one of: exp, nbf", claim)
		}
	}
	switch {
	case j.MaximumExpiration < 0 || j.MaximumExpiration > maxExpiration:
		v.bad(at+".maximum_expiration", "value should be between 0 and %d", maxExpiration)
	case j.MaximumExpiration > 0 && !slices.Contains(j.ClaimsToVerify, "exp"):
		v.bad(at+".maximum_expiration", "needs exp in claims_to_verify")
	}
	if strings.ContainsFunc(j.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		v.bad(at+".realm", `must be printable ASCII without '"' and '\'`)
	}
}

// prefix requires a credential for p whose holders cannot sign: every device
// verifies with it, so a shared secret would let each mint for all others.
func (v *validator) prefix(at, p string) {
	if !plainName(p) || strings.Contains(p, "-") {
		v.bad(at, `%q must be printable ASCII without blanks and "-", which ends a prefix`, p)
		return
	}
	switch s := v.credentials[p]; {
	case s == nil:
		v.bad(at, "no consumer has a credential with the key %q", p)
	case s.symmetric():
		v.bad(at, "the credential %q must be asymmetric: with a shared secret every device could sign for every other", p)
	}
	for key := range v.credentials {
		if _, ok := parseIssuer(key, []string{p}); ok {
			v.bad(at, "the credential %q is never found: its key reads as a device of %q", key, p)
		}
	}
}

func (v *validator) acl(at string, a *ACL) {
	if (len(a.Allow) == 0) == (len(a.Deny) == 0) {
		v.bad(at, "set exactly one of allow and deny")
	}
	v.groups(at+".allow", a.Allow)
	v.groups(at+".deny", a.Deny)
}

func (v *validator) groups(at string, groups []string) {
	for i, g := range groups {
		if !validGroup(g) {
			v.bad(fmt.Sprintf("%s[%d]", at, i), "%q must be printable ASCII without commas and outer blanks", g)
		}
	}
}

// plainName tells whether s is 1 to 128 bytes of visible ASCII.
func plainName(s string) bool {
	return s != "" && len(s) <= maxNameLength && visible(s)
}

// visible tells whether every byte of s is in 0x21–0x7e.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
