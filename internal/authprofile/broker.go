package authprofile

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/egress"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/securesession"
)

// How long each part of a sign-in may take.
const (
	LinkLife   = time.Hour        // from the blocked message to the click
	SignInLife = 10 * time.Minute // from the click to the way back
	HintLife   = 10 * time.Minute // from the way back to the next message of the conversation
)

// resolver finds the clients' secrets.
type resolver interface {
	Resolve(ctx context.Context, ref string) (secret.Bytes, error)
	// Version is that of what was last found, without asking anybody; empty if nothing was.
	Version(ref string) string
}

// Config requires all but Guard, Roots and Clock.
type Config struct {
	Profiles map[string]*Profile // by their aliases in lower case
	Base     string              // address of the node's routes as browsers see it, without a slash at its end
	Store    store
	Box      *seal.Box
	Secrets  resolver
	Guard    egress.Guard // where providers may be
	Roots    *x509.CertPool
	Clock    func() time.Time
}

// Broker brings users to providers and back. Safe for concurrent use.
//
// Whoever follows a link secures nothing but the conversation that the link was made for,
// and not before that conversation itself shows what came back to the browser: a link that
// was passed on gives its sender nothing. See docs/adr/0010.
type Broker struct {
	c      Config
	latest atomic.Pointer[map[string]*provider]
}

// New returns a broker. It calls nobody yet.
func New(c Config) (*Broker, error) {
	if c.Base == "" || c.Store == nil || c.Box == nil || c.Secrets == nil {
		return nil, errors.New("auth profiles: base, store, box and secrets are required")
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	b := &Broker{c: c}
	b.Use(c.Profiles, c.Guard)
	return b, nil
}

// Use puts other profiles in force. Sign-ins that have begun go on with them; an
// [Authorizer] stays with the profile that it was made for.
func (b *Broker) Use(profiles map[string]*Profile, guard egress.Guard) {
	next := map[string]*provider{}
	for alias, p := range profiles {
		next[alias] = newProvider(p, guard, b.c)
	}
	if was := b.latest.Swap(&next); was != nil {
		closeAll(*was)
	}
}

func closeAll(providers map[string]*provider) {
	for _, p := range providers {
		p.close()
	}
}

// provider is nil if there is no such profile.
func (b *Broker) provider(alias string) *provider { return (*b.latest.Load())[alias] }

// Profile finds a profile by its alias, in any letter case. A broker that is nil has none.
func (b *Broker) Profile(alias string) (*Profile, bool) {
	if b == nil {
		return nil, false
	}
	p := b.provider(strings.ToLower(alias))
	if p == nil {
		return nil, false
	}
	return p.Profile, true
}

// Close gives back what the broker holds. Calls that run go on.
func (b *Broker) Close() { closeAll(*b.latest.Load()) }

// Routes under Config.Base.
const (
	StartPath    = "/auth/v1/start"
	CallbackPath = "/auth/v1/callback/" // and the alias, so that no provider's answer passes as another's (RFC 9700 section 4.4.2.2)
)

// link is what the address of a sign-in has in it, sealed.
type link struct {
	Profile      string `json:"p"`
	Bot          string `json:"b"`
	Conversation string `json:"c"`
	Expires      int64  `json:"e"` // seconds since 1970
}

const linkPurpose = "auth profile link"

// Invite is the address at which the user of a conversation signs in. Nothing is kept of
// it until somebody follows it.
func (b *Broker) Invite(alias string, k securesession.Key) (string, error) {
	plain, err := json.Marshal(link{strings.ToLower(alias), k.Bot, k.Conversation, b.c.Clock().Add(LinkLife).Unix()})
	if err != nil {
		return "", err
	}
	sealed, err := b.c.Box.SealBytes(linkPurpose, plain)
	if err != nil {
		return "", err
	}
	return b.c.Base + StartPath + "?for=" + jose.Encode(sealed), nil
}

// pending is what is kept of a sign-in, sealed.
type pending struct {
	Verifier string `json:"v,omitempty"`
	Nonce    string `json:"n,omitempty"`
}

func signInPurpose(state string) string { return fmt.Sprintf("auth profile sign-in %q", state) }

// ErrLink is of a link that is not one, or is too old.
var ErrLink = fault.New(fault.Invalid, "this link is not valid any more: send your message again to get a new one")

// Start begins a sign-in for a browser, which browser names, and returns where to send
// it. The browser must be known again when it is back.
func (b *Broker) Start(ctx context.Context, sealed, browser string) (to string, err error) {
	now := b.c.Clock()
	raw, ok := jose.Decode(sealed)
	if !ok {
		return "", ErrLink
	}
	plain, err := b.c.Box.OpenBytes(linkPurpose, raw)
	if err != nil {
		return "", ErrLink
	}
	var l link
	if err := json.Unmarshal(plain, &l); err != nil {
		return "", ErrLink
	}
	p := b.provider(l.Profile)
	if p == nil || now.Unix() >= l.Expires {
		return "", ErrLink
	}
	state, secrets := rand.Text(), pending{}
	if !p.Plain {
		secrets.Verifier = rand.Text() + rand.Text() // 52 characters; RFC 7636 section 4.1 wants 43
	}
	if p.openID() {
		secrets.Nonce = rand.Text()
	}
	s := SignIn{
		State: digest(state), Browser: digest(browser), Profile: l.Profile, Expires: now.Add(SignInLife),
		Key: securesession.Key{Bot: l.Bot, Conversation: l.Conversation},
	}
	if plain, err = json.Marshal(secrets); err != nil {
		return "", err
	}
	if s.Sealed, err = b.c.Box.SealBytes(signInPurpose(state), plain); err != nil {
		return "", err
	}
	if err := b.c.Store.AddSignIn(ctx, s); err != nil {
		return "", err
	}
	return p.signInURL(b.redirect(l.Profile), state, secrets), nil
}

// redirect is where a profile's provider sends browsers, to the letter.
func (b *Broker) redirect(alias string) string { return b.c.Base + CallbackPath + alias }

// signInURL is an authorization request (RFC 6749 section 4.1.1, RFC 7636 section 4.3).
func (v *provider) signInURL(redirect, state string, p pending) string {
	q := url.Values{"response_type": {"code"}, "client_id": {v.Client}, "redirect_uri": {redirect}, "state": {state}}
	if len(v.Scopes) > 0 {
		q.Set("scope", strings.Join(v.Scopes, " "))
	}
	if p.Verifier != "" {
		challenge := digest(p.Verifier)
		q.Set("code_challenge", jose.Encode(challenge[:]))
		q.Set("code_challenge_method", "S256")
	}
	if p.Nonce != "" {
		q.Set("nonce", p.Nonce)
	}
	return extend(v.Authorize, q)
}

// extend adds parameters to an address that may have some.
func extend(address string, q url.Values) string {
	joint := "?"
	if strings.Contains(address, "?") {
		joint = "&"
	}
	return address + joint + q.Encode()
}

// Return is what a browser brings back from a provider (RFC 6749 section 4.1.2).
type Return struct {
	Profile string // of the route
	State   string
	Code    string
	Error   string
	Issuer  string // RFC 9207
	Browser string // as it was at Start
}

// Refusals of a return. All are for the person at the browser.
var (
	ErrReturn  = fault.New(fault.Invalid, "this sign-in was not begun in this browser, was used already, or took too long: send your message again to get a new link")
	ErrDenied  = fault.New(fault.Denied, "the sign-in was not completed")
	ErrNoToken = fault.New(fault.Unavailable, "the sign-in could not be completed: try again")
)

// Finish ends a sign-in and returns where to send the browser: to the profile's page, with
// a hint in the parameter userToken that is worth nothing but to the conversation.
// A return counts once, whatever comes of it. When the error is [ErrDenied] or
// [ErrNoToken], page is the profile's page.
func (b *Broker) Finish(ctx context.Context, r Return) (to, page string, err error) {
	p := b.provider(r.Profile)
	if p == nil || r.State == "" {
		return "", "", ErrReturn
	}
	s, err := b.c.Store.TakeSignIn(ctx, digest(r.State), b.c.Clock())
	if fault.KindOf(err) == fault.NotFound {
		return "", "", ErrReturn
	}
	if err != nil {
		return "", "", err
	}
	browser := digest(r.Browser)
	if s.Profile != r.Profile || subtle.ConstantTimeCompare(browser[:], s.Browser[:]) != 1 {
		return "", "", ErrReturn
	}
	if p.Issuer != "" && r.Issuer != p.Issuer { // RFC 9207 section 2.4
		return "", "", ErrReturn
	}
	if r.Error != "" || r.Code == "" {
		return "", p.Return, ErrDenied
	}
	hint, err := b.grant(ctx, p, s, r)
	if err != nil {
		return "", p.Return, err
	}
	return extend(p.Return, url.Values{Parameter: {hint}}), p.Return, nil
}

// Parameter is the name of the hint: in the address of the page, and as the member of the
// conversation's context in which the page shows it.
const Parameter = "userToken"

// grant exchanges the code, and keeps what comes of it until its conversation asks.
func (b *Broker) grant(ctx context.Context, p *provider, s SignIn, r Return) (hint string, err error) {
	plain, err := b.c.Box.OpenBytes(signInPurpose(r.State), s.Sealed)
	if err != nil {
		return "", err
	}
	var secrets pending
	if err := json.Unmarshal(plain, &secrets); err != nil {
		return "", err
	}
	t, err := p.exchange(ctx, r.Code, b.redirect(s.Profile), secrets)
	if err != nil {
		return "", fault.Wrap(ErrNoToken.Kind, ErrNoToken.Msg, err)
	}
	now := b.c.Clock()
	t.ends = now.Add(p.Lifetime)
	g := Grant{Profile: s.Profile, Expires: now.Add(min(HintLife, p.Lifetime))}
	hint = rand.Text()
	g.Hint = digest(hint)
	if g.Sealed, err = b.sealTokens(s.Key, t); err != nil {
		return "", err
	}
	return hint, b.c.Store.PutGrant(ctx, s.Key, g)
}
