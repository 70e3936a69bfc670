package app

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/wire"
)

const (
	maxName   = 128 // bytes
	maxScope  = 128
	maxScopes = 64

	maxCookies    = 16
	maxCookieName = 128
)

// Registration is what an operator says of an app. Only Name is required: the zero
// value of the rest is an app whose visitors are anonymous, without origins and
// scopes, with HS256 session tokens (a public app has no secret to sign them with:
// the key set's first) and access tokens of the key set's first algorithm.
type Registration struct {
	Name             string
	Public           bool
	Identity         Identity
	Networks         []netip.Prefix
	HTTPSOnly        bool
	TrustedNetworks  []netip.Prefix
	Connector        string
	Cookies          []string
	Origins          []string
	Audience         string
	SessionAlgorithm jose.Algorithm
	AccessAlgorithm  jose.Algorithm
	Scopes           []string
	Claims           string
	Grants           []Grant
	RedirectURIs     []string
	FirstParty       bool
	UserScopes       []string
	Audiences        []string
	Targets          []string
	Secret           string // SRN of its first secret; empty: one is made. Another comes by [Directory.Rotate]
}

func (r Registration) withDefaults(s Signed) Registration {
	r.Identity = cmp.Or(r.Identity, Anonymous)
	session := jose.HS256
	if r.Public {
		session = s.Session[0]
	}
	r.SessionAlgorithm = cmp.Or(r.SessionAlgorithm, session)
	r.AccessAlgorithm = cmp.Or(r.AccessAlgorithm, s.Access[0])
	return r
}

// validate joins a *fault.Error for each member that cannot be.
func (r Registration) validate(s Signed) error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fault.BadField(field, fmt.Sprintf(format, args...)))
	}
	if r.Name == "" || len(r.Name) > maxName || !printable(r.Name) {
		bad("name", "must be 1 to %d bytes of printable UTF-8", maxName)
	}
	switch r.Identity {
	case Anonymous, Token, Trusted, Connector:
	default:
		bad("identity", "%q is none of anonymous, token, trusted, connector", r.Identity)
	}
	r.validateConnector(bad)
	if len(r.TrustedNetworks) > 0 && r.Identity != Trusted {
		bad("trusted_networks", "are for the identity mode trusted only")
	}
	validateNetworks("networks", r.Networks, bad)
	validateNetworks("trusted_networks", r.TrustedNetworks, bad)
	for i, o := range r.Origins {
		if !exactOrigin(o) && !wildOrigin(o) {
			bad(fmt.Sprintf("origins[%d]", i), "%q must be an origin as browsers send it, as in https://www.example.com, or any port of this machine, as in http://localhost:*", o)
		}
	}
	if r.Audience != "" && !printable(r.Audience) {
		bad("audience", "must be printable UTF-8")
	}
	r.validateAlgorithms(s, bad)
	if r.Public && r.Identity == Trusted {
		bad("identity", "cannot be trusted for a public app, which has no secret to show")
	}
	if r.Public && r.Secret != "" {
		bad("secret", "cannot be named for a public app, which has none")
	}
	if r.Public && len(r.Scopes) > 0 {
		bad("scopes", "are for apps with a secret: a public app acts for its users alone, with theirs")
	}
	validateScopes("scopes", r.Scopes, bad)
	r.validateClient(bad)
	return errors.Join(errs...)
}

func validateNetworks(field string, networks []netip.Prefix, bad func(field, format string, args ...any)) {
	for i, n := range networks {
		if !n.IsValid() || n != n.Masked() {
			bad(fmt.Sprintf("%s[%d]", field, i), "must be a network without host bits, as in 10.1.0.0/16")
		}
	}
}

func validateScopes(field string, scopes []string, bad func(field, format string, args ...any)) {
	if len(scopes) > maxScopes {
		bad(field, "may be %d at most", maxScopes)
	}
	for i, s := range scopes {
		if !wire.ScopeToken(s) || len(s) > maxScope {
			bad(fmt.Sprintf("%s[%d]", field, i), `%q must be 1 to %d printable ASCII characters without blank, " and \`, s, maxScope)
		}
	}
}

// validateConnector wants what the mode Connector needs, and of that mode alone.
func (r Registration) validateConnector(bad func(field, format string, args ...any)) {
	switch confirmed := r.Identity == Connector; {
	case confirmed && r.Connector == "":
		bad("connector", "must name the API connector that confirms visitors")
	case !confirmed && r.Connector != "":
		bad("connector", "is for the identity mode connector only")
	case !confirmed && len(r.Cookies) > 0:
		bad("cookies", "are for the identity mode connector only")
	}
	if len(r.Cookies) > maxCookies {
		bad("cookies", "may be %d at most", maxCookies)
	}
	for i, name := range r.Cookies {
		if !cookieName(name) || slices.Contains(r.Cookies[:i], name) {
			bad(fmt.Sprintf("cookies[%d]", i), "%q must be the name of a cookie, each once", name)
		}
	}
}

// validateAlgorithms refuses what no key of this deployment would sign: it would be
// found out by the first who asks for a token.
func (r Registration) validateAlgorithms(s Signed, bad func(field, format string, args ...any)) {
	switch alg := r.SessionAlgorithm; {
	case r.Public && alg.Symmetric():
		bad("session_algorithm", "%s signs with the app's secret, and a public app has none", alg)
	case !alg.Symmetric() && !slices.Contains(s.Session, alg):
		bad("session_algorithm", "%q is none of HS256, HS384, HS512 and those of the key set, %v", alg, s.Session)
	}
	if !slices.Contains(s.Access, r.AccessAlgorithm) {
		bad("access_algorithm", "%q is none of those of the key set, %v", r.AccessAlgorithm, s.Access)
	}
}

// registration is what was said of a.
func (a *App) registration() Registration {
	return Registration{
		Name: a.Name, Public: a.Public, Identity: a.Identity, TrustedNetworks: a.TrustedNetworks,
		Networks: a.Networks, HTTPSOnly: a.HTTPSOnly,
		Connector: a.Connector, Cookies: a.Cookies, Origins: a.Origins,
		Audience: a.Audience, SessionAlgorithm: a.SessionAlgorithm, AccessAlgorithm: a.AccessAlgorithm, Scopes: a.Scopes,
		Claims: a.Claims, Grants: a.Grants, RedirectURIs: a.RedirectURIs, FirstParty: a.FirstParty,
		UserScopes: a.UserScopes, Audiences: a.Audiences, Targets: a.Targets,
	}
}

// settle makes a what r says.
func (r Registration) settle(a *App) {
	a.Name, a.Public, a.Identity, a.TrustedNetworks, a.Origins = r.Name, r.Public, r.Identity, r.TrustedNetworks, r.Origins
	a.Networks, a.HTTPSOnly = r.Networks, r.HTTPSOnly
	a.Connector, a.Cookies = r.Connector, r.Cookies
	a.Audience, a.SessionAlgorithm, a.AccessAlgorithm, a.Scopes = r.Audience, r.SessionAlgorithm, r.AccessAlgorithm, r.Scopes
	a.Claims, a.Grants, a.RedirectURIs, a.FirstParty = r.Claims, r.Grants, r.RedirectURIs, r.FirstParty
	a.UserScopes, a.Audiences, a.Targets = r.UserScopes, r.Audiences, r.Targets
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// exactOrigin tells whether o is the serialization that a browser puts into its
// Origin header (RFC 6454 §6.1): scheme and host in lower case, no default port,
// no path. Anything else would never match.
func exactOrigin(o string) bool {
	u, err := url.Parse(o)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	if defaultPort := map[string]string{"http": "80", "https": "443"}[u.Scheme]; u.Port() == defaultPort {
		return false
	}
	return u.Hostname() != "" && !strings.HasSuffix(u.Host, ":") && !strings.Contains(u.Host, "*") &&
		printable(o) && o == strings.ToLower(u.Scheme+"://"+u.Host)
}

// cookieName is a token of HTTP (RFC 6265 §4.1.1).
func cookieName(s string) bool {
	return s != "" && len(s) <= maxCookieName && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
