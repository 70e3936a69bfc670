// Package signin keeps who is signed in in which browser, what people let apps do, and
// the codes for which apps get their tokens (RFC 6749 §4.1, OpenID Connect Core §3.1).
package signin

import (
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/token"
)

// Session is a browser in which somebody is signed in. The access tokens of apps that
// get no refresh token there have its ID as their sign-in.
type Session struct {
	ID      string   // for its owner to name it by; no secret
	Hash    [32]byte // SHA-256 of what the browser's cookie holds
	Subject string
	Name    string   // what they are called
	Scopes  []string // what their access tokens may carry
	Place   Place
	Created time.Time // when they showed their password last
	Expires time.Time
}

// Place is where a browser is, as exactly as its owner needs to know it again.
type Place struct {
	Agent   string // as in "Firefox, Linux"; may be empty
	Network string // as in 203.0.113.0/24; may be empty
}

// Code is an authorization code: what an app gets tokens for, once, and soon after a
// person has let it. When it is used it stays until it expires, so that who shows it a
// second time ends what was given for it (RFC 9700 §4.5).
type Code struct {
	Hash        [32]byte // SHA-256 of the code
	App         app.ID
	Session     string
	Subject     string
	Name        string
	Scope       string
	RedirectURI string // empty: the request named none
	Challenge   string // RFC 7636, S256
	Nonce       string
	AuthTime    time.Time // when the person showed their password
	Expires     time.Time

	Used   time.Time      // zero: not yet
	Given  string         // for it: what [token.End] takes back
	Family token.FamilyID // that was given for it; empty: none
}

// Consent is what a person lets an app do.
type Consent struct {
	Subject string
	App     app.ID
	Scope   string
	Given   time.Time
}
