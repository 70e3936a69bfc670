package app

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

const (
	maxName   = 128 // bytes
	maxScope  = 128
	maxScopes = 64
)

// Registration is what an operator says of a new app. Only Name is required:
// the zero value of the rest is an app whose visitors are anonymous, with HS256
// session tokens, ES256 access tokens, no origins and no scopes.
type Registration struct {
	Name             string
	Identity         Identity
	TrustedNetworks  []netip.Prefix
	Origins          []string
	Audience         string
	SessionAlgorithm jose.Algorithm
	AccessAlgorithm  jose.Algorithm
	Scopes           []string
}

func (r Registration) withDefaults() Registration {
	if r.Identity == "" {
		r.Identity = Anonymous
	}
	if r.SessionAlgorithm == "" {
		r.SessionAlgorithm = jose.HS256
	}
	if r.AccessAlgorithm == "" {
		r.AccessAlgorithm = jose.ES256
	}
	return r
}

// Validate joins a *fault.Error for each member that cannot be.
func (r Registration) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fault.BadField(field, fmt.Sprintf(format, args...)))
	}
	if r.Name == "" || len(r.Name) > maxName || !printable(r.Name) {
		bad("name", "must be 1 to %d bytes of printable UTF-8", maxName)
	}
	switch r.Identity {
	case Anonymous, Token, Trusted:
	default:
		bad("identity", "%q is none of anonymous, token, trusted", r.Identity)
	}
	if len(r.TrustedNetworks) > 0 && r.Identity != Trusted {
		bad("trusted_networks", "are for the identity mode trusted only")
	}
	for i, n := range r.TrustedNetworks {
		if !n.IsValid() || n != n.Masked() {
			bad(fmt.Sprintf("trusted_networks[%d]", i), "must be a network without host bits, as in 10.1.0.0/16")
		}
	}
	for i, o := range r.Origins {
		if !exactOrigin(o) {
			bad(fmt.Sprintf("origins[%d]", i), "%q must be an origin as browsers send it, as in https://www.example.com", o)
		}
	}
	if r.Audience != "" && !printable(r.Audience) {
		bad("audience", "must be printable UTF-8")
	}
	if !r.SessionAlgorithm.Valid() {
		bad("session_algorithm", "%q is none of HS, RS, PS, ES 256/384/512 and EdDSA", r.SessionAlgorithm)
	}
	if !r.AccessAlgorithm.Valid() || r.AccessAlgorithm.Symmetric() {
		bad("access_algorithm", "%q must be an asymmetric algorithm, as in ES256: whoever checks access tokens must not be able to make them", r.AccessAlgorithm)
	}
	if len(r.Scopes) > maxScopes {
		bad("scopes", "may be %d at most", maxScopes)
	}
	for i, s := range r.Scopes {
		if !scopeToken(s) {
			bad(fmt.Sprintf("scopes[%d]", i), `%q must be 1 to %d printable ASCII characters without blank, " and \`, s, maxScope)
		}
	}
	return errors.Join(errs...)
}

func (r Registration) app(id ID, now time.Time) App {
	return App{
		ID: id, Name: r.Name, Created: now,
		Identity: r.Identity, TrustedNetworks: r.TrustedNetworks,
		Origins: r.Origins, Audience: r.Audience,
		SessionAlgorithm: r.SessionAlgorithm, AccessAlgorithm: r.AccessAlgorithm,
		Scopes: r.Scopes,
	}
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

// scopeToken is RFC 6749 §3.3.
func scopeToken(s string) bool {
	return s != "" && len(s) <= maxScope && !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x21 || r > 0x7e || r == '"' || r == '\\'
	})
}
