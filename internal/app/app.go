// Package app keeps the applications that Carnet issues tokens for.
package app

import (
	"net/netip"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

// ID is an app's OAuth client identifier.
type ID string

// Identity says how the JWT service comes to believe who a visitor is.
// Whatever the mode, a visitor may stay anonymous.
type Identity string

// The identity modes.
const (
	Anonymous Identity = "anonymous" // no named identity is ever signed
	Token     Identity = "token"     // the caller shows an access token of this issuer
	Trusted   Identity = "trusted"   // the caller shows the app's own secret
	Connector Identity = "connector" // an API of the operator's confirms the visitor
)

// App is one registered application.
type App struct {
	ID       ID
	Name     string // for people
	Disabled bool
	Public   bool // runs where it cannot keep a secret, as a page or a phone does: it has none
	Created  time.Time

	Identity        Identity
	Networks        []netip.Prefix // where its session tokens may be asked for from; empty: anywhere
	HTTPSOnly       bool           // they are not given over plain HTTP, but to this machine
	TrustedNetworks []netip.Prefix // where Trusted callers may come from; empty: anywhere
	Connector       string         // alias of the API connector that confirms visitors; of the mode Connector alone
	Cookies         []string       // names of the visitor's cookies that it is told
	Origins         []string       // CORS allow-list: exact origins, or http://localhost:*; see ListsOrigin
	Audience        string         // aud of its session tokens; empty: the chat's URL

	SessionAlgorithm jose.Algorithm // of session tokens; HS*: signed with the newest secret
	AccessAlgorithm  jose.Algorithm // of access tokens
	Scopes           []string       // what it may ask for by client_credentials
	Claims           string         // JSON template of what its own tokens say more; see ExpandClaims

	Grants       []Grant  // that it may use; empty: those of its kind, see May
	RedirectURIs []string // where people are sent back to after they signed in; see Redirects
	FirstParty   bool     // of the operator's own: people are not asked whether they consent
	UserScopes   []string // of their scopes, those that people may grant it
	Audiences    []string // that it answers for as a resource server; empty: the deployment's own
	Targets      []string // audiences that it may ask tokens for, besides the deployment's own

	Secrets []Secret // any valid one authenticates, the newest valid one signs
	Keys    []Key    // any valid one authenticates, and signs assertions
}

// Secret is one client secret. Two may be valid at once, so that a rotation
// refuses nobody. It is kept here, or lies with a provider, which may change its value.
type Secret struct {
	ID        string
	Hash      [32]byte // SHA-256, all that authentication needs; unused if there is a Ref
	Sealed    string   // the secret itself under the data master key; empty unless it signs (HS*)
	Ref       string   // the SRN under which a provider has it; empty: it is kept here
	NotBefore time.Time
	NotAfter  time.Time // zero: no end
}
