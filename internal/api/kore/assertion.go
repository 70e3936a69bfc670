package kore

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/token"
)

const (
	leeway = 30 * time.Second // between our clock and the one of who signed
	// maxOnce is how far the exp of an assertion with a jti may lie ahead: for so long
	// the jti is remembered.
	maxOnce = time.Hour
)

// visitor is who an assertion speaks for.
type visitor struct {
	app       *app.App
	user      chat.User
	anonymous bool
	before    string // identityToMerge: who the visitor was before signing in
	expires   time.Time
	token     revocation.Token
}

// badAssertion is what is wrong with an assertion. The reason is for the log.
func badAssertion(cause error) error {
	return fault.Wrap(fault.Unauthenticated, "error verifying the jwt", cause)
}

// verify checks an assertion that is shown for the first time, if it may be shown once.
func (h *Handler) verify(ctx context.Context, text string, now time.Time) (visitor, error) {
	v, err := h.read(ctx, text, now)
	if err != nil {
		return visitor{}, err
	}
	if err := v.check(now); err != nil {
		return visitor{}, err
	}
	if v.token.ID != "" && !h.used.use(v.once(), now, v.expires.Add(leeway)) {
		return visitor{}, errReplay
	}
	return v, nil
}

var errReplay = fault.New(fault.Unauthenticated, "error verifying the jwt: possibly a replay")

// check refuses an assertion that is past, or good for longer than its jti can be
// remembered.
func (v visitor) check(now time.Time) error {
	switch {
	case v.past(now):
		return badAssertion(errors.New("exp is past"))
	case v.token.ID != "" && v.expires.After(now.Add(maxOnce+leeway)):
		return fault.New(fault.Unauthenticated, `error verifying the jwt: if "jti" claim "exp" must be <= 1 hour(s)`)
	}
	return nil
}

func (v visitor) past(now time.Time) bool { return !now.Before(v.expires.Add(leeway)) }

// once names an assertion with a jti.
func (v visitor) once() string { return "jti " + v.token.Issuer + " " + v.token.ID }

// read checks all but how long an assertion is good: it is signed by the app that iss
// names, with its secret or a key that signs for it. aud may be anything. Times may be
// in seconds or, as Kore's own sample writes them, in milliseconds.
func (h *Handler) read(ctx context.Context, text string, now time.Time) (visitor, error) {
	if strings.Count(text, ".") == 4 {
		var err error
		if text, err = h.decrypt(text); err != nil {
			return visitor{}, badAssertion(err)
		}
	}
	var u jose.Unverified
	if err := u.Parse(text); err != nil {
		return visitor{}, badAssertion(err)
	}
	var object jose.Object
	if err := u.Claims(&object); err != nil {
		return visitor{}, badAssertion(err)
	}
	c := claims{object: &object}
	a, key, err := h.signer(ctx, &u, c.text("iss", "kore_iss"), now)
	if fault.KindOf(err) == fault.Unavailable {
		return visitor{}, err
	}
	if err != nil {
		return visitor{}, badAssertion(err)
	}
	v := visitor{
		app:       a,
		user:      chat.User{Issuer: string(a.ID), Subject: c.text("sub", "kore_sub")},
		anonymous: c.yes("isAnonymous"),
		before:    c.text("identityToMerge"),
		expires:   c.time("exp"),
	}
	issued := c.time("iat")
	v.token = revocation.Token{
		ID: c.text("jti", "kore_jti"), Issuer: v.user.Issuer, Subject: v.user.Subject, App: string(a.ID),
		KeyID: key.ID(), IssuedAt: issued,
	}
	switch {
	case c.err != nil:
		return visitor{}, badAssertion(c.err)
	case !token.ValidSubject(v.user.Subject):
		return visitor{}, badAssertion(errors.New("sub is not one"))
	case v.expires.IsZero():
		return visitor{}, badAssertion(errors.New("exp is missing"))
	case issued.After(now.Add(leeway)) || c.time("nbf").After(now.Add(leeway)):
		return visitor{}, badAssertion(errors.New("iat or nbf is in the future"))
	case h.c.Revocations != nil && h.c.Revocations.Revoked(v.token):
		return visitor{}, badAssertion(errors.New("revoked"))
	}
	return v, nil
}

// decrypt opens an assertion that is a JWE around a signed one. What nobody has signed is
// nobody's word: whoever has the public key can encrypt.
func (h *Handler) decrypt(text string) (string, error) {
	if h.c.Encrypted == nil {
		return "", errors.New("encrypted, and no key is configured")
	}
	plain, err := h.c.Encrypted.Open(text)
	return string(plain), err
}

// signer finds the app that signed u, and its key.
func (h *Handler) signer(ctx context.Context, u *jose.Unverified, issuer string, now time.Time) (*app.App, *jose.Key, error) {
	if u.Type != "" && !strings.EqualFold(u.Type, "JWT") {
		return nil, nil, errors.New("typ is not JWT")
	}
	a, ok := h.c.Apps.Find(app.ID(issuer))
	if !ok || a.Disabled {
		return nil, nil, errors.New("iss is no app, or one that is disabled")
	}
	keys, err := h.c.Keys(ctx, a, u.KeyID, now)
	if err != nil {
		return nil, nil, err
	}
	err = errors.New("no key signs for the app")
	for _, k := range keys {
		if err = u.Verify(k); err == nil {
			return a, k, nil
		}
	}
	return nil, nil, err
}

// claims reads an assertion's. The first error stays.
type claims struct {
	object *jose.Object
	err    error
}

func (c *claims) fail(reason string) {
	if c.err == nil {
		c.err = errors.New(reason)
	}
}

// text is the claim that has one of the names, "" if none is there. Two that differ are
// an error.
func (c *claims) text(names ...string) (found string) {
	for _, name := range names {
		v := c.object.Lookup(name)
		if v.Kind == jose.Absent || v.Kind == jose.Null {
			continue
		}
		text, ok := v.Text()
		if !ok || found != "" && found != text {
			c.fail(name + " is not a string, or says something else than its other name")
		}
		found = text
	}
	return found
}

// yes takes true and "true", which Kore's own samples write.
func (c *claims) yes(name string) bool {
	v := c.object.Lookup(name)
	switch string(v.Raw) {
	case "true", `"true"`:
		return true
	case "", "null", "false", `"false"`, `""`:
		return false
	}
	c.fail(name + " is neither true nor false")
	return false
}

// fromMillis is from where on a number counts milliseconds: as seconds it is in the year 5138.
const fromMillis = 1e11

// time is the zero time if the claim is not there.
func (c *claims) time(name string) time.Time {
	v := c.object.Lookup(name)
	if v.Kind == jose.Absent || v.Kind == jose.Null {
		return time.Time{}
	}
	var n float64
	if v.Kind != jose.Number || v.Decode(&n) != nil || n < 0 || n > 1e15 {
		c.fail(name + " is not a time")
		return time.Time{}
	}
	if n < fromMillis {
		n *= 1000
	}
	return time.UnixMilli(int64(n))
}
