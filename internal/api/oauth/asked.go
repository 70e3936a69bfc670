package oauth

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/signin"
	"github.com/carnetproject/carnet/internal/token"
)

// maxAsked is the longest authorization request, in bytes.
const maxAsked = 4 << 10

// asked is an authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core
// §3.1.2.1) of an app that is known, with an address to go back to that is the app's.
type asked struct {
	app    *app.App
	back   string // the redirect URI
	state  string
	query  url.Values
	wanted []string // scopes that the app may ask for
	hint   string   // who is to sign in, perhaps
	who    string   // the subject that it must be; empty: anybody

	challenge, nonce     string
	login, consent, none bool // prompt
	aged                 bool // max_age was given
	maxAge               time.Duration
}

// locales are the languages that the app says the person wants; q may be nil.
func (q *asked) locales() string {
	if q == nil {
		return ""
	}
	return q.query.Get("ui_locales")
}

// denied is a refusal that the browser carries back to the app (RFC 6749 §4.1.2.1).
type denied struct{ code, text string }

func (d *denied) Error() string { return d.code + ": " + d.text }

// readAsked reads a query. A fault is for the person at the browser: the app, or where to
// go back to, is not known, and nobody is sent anywhere. What is else wrong is *denied,
// with which the browser goes back.
func (h *Handler) readAsked(raw string) (*asked, error) {
	if len(raw) > maxAsked {
		return nil, fault.New(fault.Invalid, "the app's request is too long")
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the app's request is malformed")
	}
	for name, values := range query { // without a value is without it (RFC 6749 §3.1)
		if len(values) == 1 && values[0] == "" {
			delete(query, name)
		}
	}
	for _, name := range [...]string{"client_id", "redirect_uri"} {
		if len(query[name]) > 1 {
			return nil, fault.BadField(name, "is given twice")
		}
	}
	a, ok := h.c.Apps.Find(app.ID(query.Get("client_id")))
	if !ok || a.Disabled {
		return nil, fault.BadField("client_id", "is of no app that is known here")
	}
	q := &asked{app: a, back: query.Get("redirect_uri"), query: query}
	switch {
	case q.back == "" && len(a.RedirectURIs) == 1 && !slices.Contains(strings.Fields(query.Get("scope")), signin.OpenID):
		q.back = a.RedirectURIs[0] // RFC 6749 §3.1.2.3
	case q.back == "":
		return nil, fault.BadField("redirect_uri", "is missing")
	case !a.Redirects(q.back):
		return nil, fault.BadField("redirect_uri", "is none that the app has registered")
	}
	if len(query["state"]) == 1 {
		q.state = query.Get("state")
	}
	return q, q.read(h.c.Issuer)
}

// unsupported are parameters whose meaning must not be ignored, by the errors that say so
// (OpenID Connect Core §3.1.2.6).
var unsupported = [...][2]string{
	{"request", "request_not_supported"}, {"request_uri", "request_uri_not_supported"}, {"registration", "registration_not_supported"},
}

// read reads what is not known to be right yet.
func (q *asked) read(issuer string) error {
	for name, values := range q.query {
		if len(values) > 1 {
			return &denied{"invalid_request", called(name) + " is given twice"}
		}
	}
	for _, u := range unsupported {
		if q.query.Has(u[0]) {
			return &denied{u[1], u[0] + " must be left out"}
		}
	}
	switch kind := q.query.Get("response_type"); {
	case kind == "":
		return &denied{"invalid_request", "response_type must be code"}
	case kind != "code":
		return &denied{"unsupported_response_type", "response_type must be code"}
	case !q.app.May(app.AuthorizationCode):
		return &denied{"unauthorized_client", "this client has another grant than authorization_code"}
	case q.query.Has("response_mode") && q.query.Get("response_mode") != "query":
		return &denied{"invalid_request", "response_mode must be query"}
	}
	q.challenge, q.nonce, q.hint = q.query.Get("code_challenge"), q.query.Get("nonce"), q.query.Get("login_hint")
	switch {
	case q.challenge == "":
		return &denied{"invalid_request", "code_challenge is required (RFC 7636)"}
	case q.query.Get("code_challenge_method") != "S256":
		return &denied{"invalid_request", "code_challenge_method must be S256"}
	case !signin.ValidChallenge(q.challenge):
		return &denied{"invalid_request", "code_challenge must be the base64url of a SHA-256"}
	case len(q.nonce) > maxNonce || !utf8.ValidString(q.nonce) || strings.ContainsFunc(q.nonce, unicode.IsControl):
		return &denied{"invalid_request", "nonce must be at most 512 bytes of UTF-8 without control characters"}
	}
	scopes, err := token.ParseScope(q.query.Get("scope"))
	if err != nil {
		return &denied{"invalid_scope", describe(fault.Public(err))}
	}
	if q.wanted = signin.Wanted(q.app, scopes); len(q.wanted) == 0 && len(scopes) > 0 {
		return &denied{"invalid_scope", "scope has nothing that this client may ask for"}
	}
	if hint := q.query.Get("id_token_hint"); hint != "" {
		var ok bool
		if q.who, _, ok = hinted(issuer, hint); !ok {
			return &denied{"invalid_request", "id_token_hint must be an ID token of this server"}
		}
	}
	return q.readPrompt()
}

// hinted is whom an ID token of the issuer is about, and for. Nobody has checked who signed
// it, since its key may have been retired: it must not open what is closed without it.
func hinted(issuer, text string) (subject string, audience app.ID, ok bool) {
	var t jose.Unverified
	var claims jose.Object
	if t.Parse(text) != nil || t.Claims(&claims) != nil {
		return "", "", false
	}
	subject, ok = claims.Lookup("sub").Text()
	aud, _ := claims.Lookup("aud").Text()
	iss, _ := claims.Lookup("iss").Text()
	return subject, app.ID(aud), ok && iss == issuer
}

// maxNonce is the longest nonce, in bytes: it comes back in the ID token.
const maxNonce = 512

func (q *asked) readPrompt() error {
	prompts := strings.Fields(q.query.Get("prompt"))
	for _, p := range prompts {
		switch p {
		case "none":
			q.none = true
		case "login", "select_account": // there is one account at a time
			q.login = true
		case "consent":
			q.consent = true
		default:
			return &denied{"invalid_request", "prompt must be of none, login, consent and select_account"}
		}
	}
	if q.none && len(prompts) > 1 {
		return &denied{"invalid_request", "prompt must have nothing beside none"}
	}
	if age := q.query.Get("max_age"); age != "" {
		n, err := strconv.ParseUint(age, 10, 31)
		if err != nil {
			return &denied{"invalid_request", "max_age must be a number of seconds"}
		}
		q.aged, q.maxAge = true, time.Duration(n)*time.Second
	}
	return nil
}

// mustSignIn tells whether the person of a session has to show their password again, or is
// not the one who is wanted.
func (q *asked) mustSignIn(b *browser, now time.Time) bool {
	return !b.signedIn() || q.login || q.who != "" && q.who != b.session.Subject || q.aged && now.Sub(b.session.Created) > q.maxAge
}

// scope is what the person of a session can give of what the app wants. An answer cannot
// say that it is nothing (RFC 6749 §3.3, §5.1), so that the app would believe it has all.
func (q *asked) scope(b *browser) (string, error) {
	scope := b.session.Scope(q.wanted)
	if scope == "" && q.query.Get("scope") != "" {
		return "", &denied{"access_denied", "the user has nothing of what scope asks for"}
	}
	return scope, nil
}

// again is the request as it goes on after somebody has signed in: that they had to is
// done.
func (q *asked) again() string {
	rest := url.Values{}
	for name, values := range q.query {
		rest[name] = values
	}
	rest.Del("max_age")
	rest.Del("login_hint")
	rest.Del("prompt")
	if q.consent {
		rest.Set("prompt", "consent")
	}
	return rest.Encode()
}

// remembers tells whether a consent that was given once counts for the next time. Of an
// app that anyone can pretend to be on the person's own device it does not (RFC 8252 §8.6).
func (q *asked) remembers() bool { return !q.app.Public || strings.HasPrefix(q.back, "https:") }

// answer is where the browser goes back to, with parameters, the state and who we are
// (RFC 9207).
func (q *asked) answer(issuer string, with ...string) string {
	v := url.Values{"iss": {issuer}}
	if q.state != "" {
		v.Set("state", q.state)
	}
	for i := 0; i < len(with); i += 2 {
		v.Set(with[i], with[i+1])
	}
	return withQuery(q.back, v)
}

// withQuery adds to an address that may have a query of its own (RFC 6749 §3.1.2).
func withQuery(address string, v url.Values) string {
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + v.Encode()
}
