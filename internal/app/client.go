package app

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

const (
	maxRedirects = 32
	maxRedirect  = 512 // bytes
	maxAudiences = 32
	maxAudience  = 256
)

// Grant is a way of OAuth's token endpoint to get a token, by its registered name.
type Grant string

// The grants there are.
const (
	AuthorizationCode Grant = "authorization_code"                              // RFC 6749 §4.1
	ClientCredentials Grant = "client_credentials"                              // §4.4
	RefreshToken      Grant = "refresh_token"                                   // §6
	JWTBearer         Grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"     // RFC 7523 §2.1: for any user, by the app's own key
	TokenExchange     Grant = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693
)

// Grants lists them all, in the order of the constants.
func Grants() []Grant {
	return []Grant{AuthorizationCode, ClientCredentials, RefreshToken, JWTBearer, TokenExchange}
}

// Short is the name without what the longest of them begin with, as in token-exchange.
func (g Grant) Short() string { return string(g)[strings.LastIndexByte(string(g), ':')+1:] }

func shortNames() string {
	var all []string
	for _, g := range Grants() {
		all = append(all, g.Short())
	}
	return strings.Join(all, ", ")
}

// UnmarshalText also reads the short names.
func (g *Grant) UnmarshalText(text []byte) error {
	*g = Grant(text)
	for _, one := range Grants() {
		if one.Short() == string(text) {
			*g = one
		}
	}
	return nil
}

// May tells whether a may use g. An app whose Grants are not set may refresh, act for
// itself if it has a secret, and sign people in if it says where they are sent back to.
func (a *App) May(g Grant) bool {
	if len(a.Grants) > 0 {
		return slices.Contains(a.Grants, g)
	}
	switch g {
	case RefreshToken:
		return true
	case ClientCredentials:
		return !a.Public
	case AuthorizationCode:
		return len(a.RedirectURIs) > 0
	default:
		return false
	}
}

// Redirects tells whether people may be sent back to uri: it is one of a's to the letter
// (RFC 9700 §4.1.3), but for the port of a loopback address, which a native app does not
// know before it listens (RFC 8252 §7.3).
func (a *App) Redirects(uri string) bool {
	if slices.Contains(a.RedirectURIs, uri) {
		return true
	}
	portless := withoutPort(uri)
	return portless != "" && slices.ContainsFunc(a.RedirectURIs, func(one string) bool { return withoutPort(one) == portless })
}

// withoutPort is a redirect URI of this machine without its port, "" for any other.
func withoutPort(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" || !loopback(u.Hostname()) || redirectFault(uri) != "" {
		return ""
	}
	host, port := u.Host, u.Port()
	rest, ok := strings.CutPrefix(uri, "http://"+host) // else not as it is written
	if !ok || strings.HasSuffix(host, ":") {
		return ""
	}
	return "http://" + strings.TrimSuffix(host, ":"+port) + rest
}

// redirectFault says what is wrong with a redirect URI (RFC 6749 §3.1.2, RFC 8252 §7).
func redirectFault(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil || !u.IsAbs() || len(uri) > maxRedirect || !printable(uri) || strings.ContainsAny(uri, " \\"):
		return fmt.Sprintf("must be an absolute URI of at most %d bytes, as in https://www.example.com/back", maxRedirect)
	case strings.Contains(uri, "#"):
		return "must have no fragment"
	case strings.Contains(uri, "*"):
		return "must have no wildcard: each URI is listed as it is"
	case u.User != nil:
		return "must have no user and password"
	case u.Scheme == "https" && u.Hostname() == "":
		return "must name a host"
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()):
		return ""
	case u.Scheme == "http":
		return "must be https, or http on localhost, 127.0.0.1 or [::1]"
	case !strings.Contains(u.Scheme, "."):
		return "must be https, or of a scheme of the app's own, which is a domain name turned round, as in com.example.app:/back"
	}
	return ""
}

// validateClient is about what an app is to OAuth.
func (r Registration) validateClient(bad func(field, format string, args ...any)) {
	for i, g := range r.Grants {
		field := fmt.Sprintf("grants[%d]", i)
		switch {
		case !slices.Contains(Grants(), g):
			bad(field, "%q is none of %s", g, shortNames())
		case slices.Contains(r.Grants[:i], g):
			bad(field, "%s is given twice", g)
		case r.Public && g != AuthorizationCode && g != RefreshToken:
			bad(field, "%s is for apps that can prove who they are: a public one has authorization_code and refresh_token", g)
		case g == AuthorizationCode && len(r.RedirectURIs) == 0:
			bad(field, "authorization_code needs redirect_uris")
		}
	}
	if len(r.RedirectURIs) > maxRedirects {
		bad("redirect_uris", "may be %d at most", maxRedirects)
	}
	for i, uri := range r.RedirectURIs {
		if why := redirectFault(uri); why != "" {
			bad(fmt.Sprintf("redirect_uris[%d]", i), "%q %s", uri, why)
		}
	}
	validateScopes("user_scopes", r.UserScopes, bad)
	validateAudiences("audiences", r.Audiences, bad)
	validateAudiences("targets", r.Targets, bad)
	if r.Public && len(r.Audiences)+len(r.Targets) > 0 {
		bad("audiences", "and targets are for apps that can prove who they are")
	}
	if r.Claims == "" {
		return
	}
	if r.Public {
		bad("claims", "are for apps with a secret: a public app has no tokens of its own")
	}
	if _, err := parseClaims(r.Claims); err != nil {
		bad("claims", "%s", err)
	}
}

func validateAudiences(field string, list []string, bad func(field, format string, args ...any)) {
	if len(list) > maxAudiences {
		bad(field, "may be %d at most", maxAudiences)
	}
	for i, a := range list {
		if a == "" || len(a) > maxAudience || !printable(a) || strings.ContainsAny(a, " #") {
			bad(fmt.Sprintf("%s[%d]", field, i), "%q must be 1 to %d bytes of printable UTF-8 without blank and fragment", a, maxAudience)
		}
	}
}
