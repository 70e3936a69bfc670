// Package authprofile secures a conversation by a sign-in with an OAuth 2 provider
// (RFC 6749, with PKCE, RFC 7636): its user follows a link, signs in, comes back to the
// page, and the page shows the conversation what the way back has brought.
//
// [Parse] reads a document in the shape of ServisBOT's auth profiles into a [Profile]. A
// [Broker] stands between the browser and the provider, and keeps the user's tokens,
// sealed; its [Broker.Authorizer] is what the gate of package securesession asks. No
// token leaves them but to the provider, and to the connector that the profile names.
package authprofile

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/secret"
)

// Profile is a parsed document. It does not change, and holds no secret.
type Profile struct {
	Alias     string
	Return    string // the page to which users come back
	Client    string
	Secret    string // SRN of a secretdoc with the member secret; empty: a public client
	Authorize string // where users sign in
	Token     string // where codes and refresh tokens are exchanged

	Scopes []string
	// Issuer, if it is set, must stand in each answer that comes by browser (RFC 9207).
	Issuer string
	// UserInfo, if it is set, is called with the user's token at each validation.
	UserInfo string
	// Connector, if it is set, is called at each validation: alias in lower case.
	Connector string
	Post      bool          // the client's secret goes into the body, not into the header
	Plain     bool          // without PKCE, for providers that refuse what they do not know
	Lifetime  time.Duration // from the sign-in: then the user signs in again

	revision string
}

// Options say how a document is read. They require Organization.
type Options struct {
	Organization string // the one whose secrets a document may name
	Insecure     bool   // http addresses may be called, and come back to
}

// ignored members say nothing to us.
var ignored = []string{"Srn", "Created", "Updated", "CreatedBy", "UpdatedBy", "Organization", "Key"}

const (
	defaultLifetime = 24 * time.Hour
	maxLifetime     = 30 * 24 * time.Hour
	maxScopes       = 64
)

// Parse reads a document, which is JSON. The error joins a [fault.Error] for each thing
// that is wrong, whose Field is a JSON pointer to it.
func Parse(doc []byte, opts Options) (*Profile, error) {
	r, err := newReader(doc, opts)
	if err != nil {
		return nil, err
	}
	p := &Profile{Alias: r.need("/Alias"), Lifetime: defaultLifetime}
	if p.Alias != "" && !connector.IsAlias(p.Alias) {
		r.bad("/Alias", "must be 1 to 128 letters, digits, _ or -")
	}
	if kind := r.text("/Type"); kind != "oauth2" {
		r.bad("/Type", `must be "oauth2"`)
	}
	vendor := r.text("/Vendor")
	if !slices.Contains([]string{"", "default", "ms"}, vendor) {
		r.bad("/Vendor", `must be "default" or "ms"`)
	}
	for _, name := range ignored {
		r.known["/"+name] = true
	}
	p.configure(r)
	if vendor == "ms" && len(p.Scopes) == 0 { // Microsoft's identity platform wants some
		p.Scopes = []string{"openid", "offline_access"}
	}
	sum := sha256.Sum256(doc)
	p.revision = hex.EncodeToString(sum[:])
	return p, r.err()
}

// configure reads the member Configuration. What the documentation does not have is
// Carnet's own, and optional.
func (p *Profile) configure(r *reader) {
	r.enter("/Configuration")
	p.Return = r.url("/Configuration/RedirectUrl", true)
	p.Client = r.need("/Configuration/ClientId")
	p.Authorize = r.url("/Configuration/AuthenticationUrl", true)
	p.Token = r.url("/Configuration/AccessUrl", true)
	p.Secret = r.text("/Configuration/ClientSecret")
	if p.Secret != "" {
		if err := secret.CheckRef(p.Secret, r.opts.Organization, secret.ForDocument); err != nil {
			r.fault("/Configuration/ClientSecret", err)
		}
	}
	p.Scopes = r.scopes("/Configuration/Scopes")
	p.Issuer = r.text("/Configuration/Issuer")
	p.UserInfo = r.url("/Configuration/UserInfoUrl", false)
	p.Connector = strings.ToLower(r.text("/Configuration/ApiAlias"))
	if p.Connector != "" && p.UserInfo != "" {
		r.bad("/Configuration/UserInfoUrl", "must be left out, since ApiAlias says whom to ask")
	}
	p.Post = r.choice("/Configuration/ClientAuthentication", "client_secret_basic", "client_secret_post")
	p.Plain = r.choice("/Configuration/Pkce", "S256", "none")
	if p.Plain && p.Secret == "" {
		r.bad("/Configuration/Pkce", `must be "S256" for a client without a secret`)
	}
	if n, ok := r.number("/Configuration/LifetimeSeconds", 60, int(maxLifetime/time.Second)); ok {
		p.Lifetime = time.Duration(n) * time.Second
	}
}

// openID tells whether the provider is asked for an ID token, which is held to its nonce.
func (p *Profile) openID() bool { return slices.Contains(p.Scopes, "openid") }

// Revision changes with what the document says, and with nothing else.
func (p *Profile) Revision() string { return p.revision }
